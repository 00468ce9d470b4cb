//! Changes to the metadata of a row.

use std::collections::BTreeMap;

use entity::Metadata;

use crate::Error;

/// A change to the metadata of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MetadataChange {
    /// The metadata stays as it is.
    #[default]
    Keep,
    /// All keys are replaced; `None` removes them.
    Replace(Option<Metadata>),
    /// Each key takes its new value, and `None` removes it. Other keys keep their value.
    Merge(BTreeMap<String, Option<String>>),
}

impl MetadataChange {
    /// The metadata after the change; `None` when no key is left.
    ///
    /// # Errors
    /// [`Error::TooManyMetadataKeys`].
    pub(crate) fn applied_to(&self, current: Option<Metadata>) -> Result<Option<Metadata>, Error> {
        let changes = match self {
            Self::Keep => return Ok(current),
            Self::Replace(new) => return Ok(new.clone()),
            Self::Merge(changes) => changes,
        };
        let mut keys = current.unwrap_or_default().0;
        for (key, value) in changes {
            match value {
                Some(value) => keys.insert(key.clone(), value.clone()),
                None => keys.remove(key),
            };
        }
        if keys.len() > Metadata::MAX_KEYS {
            return Err(Error::TooManyMetadataKeys { count: keys.len() });
        }
        Ok(Some(Metadata(keys)).filter(|metadata| !metadata.0.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(keys: &[(&str, &str)]) -> Option<Metadata> {
        let keys = keys.iter();
        let keys = keys.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Some(Metadata(keys.collect()))
    }

    fn merge(keys: &[(&str, Option<&str>)]) -> MetadataChange {
        let keys = keys.iter();
        let keys = keys.map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
        MetadataChange::Merge(keys.collect())
    }

    #[test]
    fn a_merge_changes_the_keys_that_it_names() {
        let before = metadata(&[("a", "1"), ("b", "2")]);
        let change = merge(&[("a", Some("3")), ("b", None), ("c", Some("4")), ("d", None)]);
        let after = change.applied_to(before).unwrap();
        assert_eq!(after, metadata(&[("a", "3"), ("c", "4")]));
        let none = merge(&[("a", None), ("c", None)])
            .applied_to(after)
            .unwrap();
        assert_eq!(none, None);
    }

    #[test]
    fn a_merge_may_leave_fifty_keys() {
        let keys: Vec<String> = (0..Metadata::MAX_KEYS).map(|n| format!("key{n}")).collect();
        let full = MetadataChange::Merge(
            keys.into_iter()
                .map(|key| (key, Some("1".to_owned())))
                .collect(),
        );
        let full = full.applied_to(None).unwrap();
        let more = merge(&[("more", Some("1"))]).applied_to(full.clone());
        assert!(matches!(
            more,
            Err(Error::TooManyMetadataKeys { count: 51 })
        ));
        let swapped = merge(&[("more", Some("1")), ("key0", None)]).applied_to(full);
        assert_eq!(swapped.unwrap().map(|metadata| metadata.0.len()), Some(50));
    }
}
