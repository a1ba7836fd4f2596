//! Reads an archive without piton: what `tar xzf` would unpack.

use crate::state::State;
use std::{collections::BTreeMap, error::Error, fs, path::Path};

/// What the data directory in an archive holds, by path.
pub fn contents(
    archive: &Path,
    scratch: &Path,
) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let bytes = fs::read(archive)?;
    let folder = scratch.join("unpacked");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut unpacked = tar::Archive::new(flate2::read::MultiGzDecoder::new(&bytes[..]));
    unpacked.unpack(&folder)?;
    let state = State::read(&folder.join("data"), scratch);
    let contents = state.contents().into_iter();
    Ok(contents.map(|(path, content)| (path.into(), content.into())).collect())
}
