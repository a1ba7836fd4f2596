//! Reads the text of `piton.toml`; what is wrong has its line, and an unknown key the nearest one.

use super::{File, Reader};
use crate::{
    Result,
    error::{Place, ProjectError},
    history::{FolderRules, Form},
};
use std::path::Path;

pub(super) fn parse(path: &Path, text: &str) -> Result<File> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().to_string();
        let offset = error.span().map_or(0, |span| span.start);
        let nearest = nearest_key(&message);
        ProjectError::Config { place: Place::of(path, text, offset), reason: message, nearest }
            .into()
    })
}

/// The key nearest to an unknown one, from the parser's message: the words in backticks, of which
/// the first is the unknown one.
fn nearest_key(message: &str) -> Option<String> {
    if !message.starts_with("unknown field") {
        return None;
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next()?.replace('_', "-");
    let near = words.map(|word| (strsim::osa_distance(&unknown, word), word)).min()?;
    (near.0 <= 4).then(|| near.1.to_string())
}

impl Reader<'_> {
    /// `ignore` and `format`.
    pub(super) fn folder_rules(&self, file: &File) -> Result<FolderRules> {
        let form = match &file.format {
            None => Form::Recognised,
            Some(word) if word.get_ref() == "scripts" => Form::Scripts,
            Some(word) => {
                let reason = format!("`format` can be `scripts`, not `{}`", word.get_ref());
                return Err(self.wrong(word.span(), reason));
            }
        };
        match &file.ignore {
            Some(patterns) => FolderRules::new(form, patterns.get_ref())
                .map_err(|reason| self.wrong(patterns.span(), format!("`ignore`: {reason}"))),
            None => Ok(FolderRules::new(form, &[]).unwrap_or_default()),
        }
    }
}
