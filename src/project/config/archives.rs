//! How archives are made: compressed, and encrypted to whom.

use super::{
    super::sealing::{self, BackupKeys},
    Reader,
};
use crate::{
    Result,
    store::{Compression, Keys},
};
use toml::Spanned;

impl Reader<'_> {
    pub(super) fn compression(&self, file: Option<&Spanned<String>>) -> Result<Compression> {
        match (&self.overrides.compression, file) {
            (Some(text), _) => Ok(text.parse()?),
            (None, Some(text)) => {
                let parsed: Result<Compression, _> = text.get_ref().parse();
                parsed.map_err(|error| self.wrong(text.span(), error.to_string()))
            }
            (None, None) => Ok(Compression::default()),
        }
    }

    pub(super) fn keys(&self, file: &BackupKeys) -> Result<Keys> {
        let over = self.overrides;
        let data = self.located.data.clone();
        let identity = match (&over.identity, &file.identity) {
            (None, None) => None,
            (over, file) => Some(self.path_of(over.as_ref(), file.as_ref(), "")),
        };
        match &file.recipients {
            Some(texts) if over.recipients.is_empty() => {
                let keys = sealing::keys(texts.get_ref(), identity, &data);
                keys.map_err(|error| self.wrong(texts.span(), error.to_string()))
            }
            _ => Ok(sealing::keys(&over.recipients, identity, &data)?),
        }
    }
}
