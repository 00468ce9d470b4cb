//! The setting of the place of pictures.

use std::path::PathBuf;

use domain::catalogue::pictures::Place;

/// Reads the place. A relative path is refused: a misspelt `database` would be one.
///
/// # Errors
/// The text is neither.
pub(super) fn place(text: &str) -> Result<Place, String> {
    let path = PathBuf::from(text);
    match text {
        "database" => Ok(Place::Database),
        _ if path.is_absolute() => Ok(Place::Folder(path)),
        _ => Err("must be database, or the absolute path of a folder".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_database_or_an_absolute_path() {
        assert_eq!(place("database"), Ok(Place::Database));
        let folder = Place::Folder("/var/lib/pictures".into());
        assert_eq!(place("/var/lib/pictures"), Ok(folder));
        for bad in ["", "databse", "pictures", "./pictures", "Database"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
