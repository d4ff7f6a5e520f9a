//! Which store a URL speaks of, and what is in it.

use std::sync::Arc;

use futures::TryStreamExt as _;
use glob::Pattern;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::runtime::Runtime;
use url::Url;

use crate::object::{Object, ObjectReader};

/// The beginnings of URLs that are read from object stores.
const SCHEMES: [&str; 8] = ["s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss"];

/// Ends of host names whose `https` addresses are object stores'.
const HOSTS: [&str; 5] = [
    ".amazonaws.com",
    ".r2.cloudflarestorage.com",
    ".blob.core.windows.net",
    ".dfs.core.windows.net",
    ".fabric.microsoft.com",
];

/// Most objects that are listed under one URL: their names are held in memory.
const OBJECTS_MAX: usize = 5_000_000;

/// Whether a command line's word is the URL of an object store.
pub fn is_url(word: &str) -> bool {
    let Ok(url) = Url::parse(word) else { return false };
    SCHEMES.contains(&url.scheme())
        || url.scheme() == "https"
            && url.host_str().is_some_and(|host| HOSTS.iter().any(|end| host.ends_with(end)))
}

/// Why an object store could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The address makes no sense.
    #[error(
        "`{url}` is no address of an object store: {reason}; expected one like `s3://bucket/prefix/`, \
             `az://container/prefix/` or `gs://bucket/prefix/`"
    )]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store refused, or could not be reached.
    #[error(
        "cannot {action} `{url}`: {source}; credentials and endpoint come from the environment, see \
             docs/object-stores.md"
    )]
    Store {
        /// What was tried.
        action: &'static str,
        /// The object, or what was listed.
        url: String,
        /// The store's word.
        source: object_store::Error,
    },
    /// There is nothing of that name.
    #[error("nothing is stored at `{url}`")]
    Nothing {
        /// What was listed.
        url: String,
    },
    /// More objects than can be listed at once.
    #[error("`{url}` holds more than {most} objects; name a narrower prefix")]
    TooMany {
        /// What was listed.
        url: String,
        /// The bound.
        most: usize,
    },
    /// The machine has no room for another thread.
    #[error("cannot start reading from object stores: {0}")]
    Runtime(#[source] std::io::Error),
}

/// A reader of object stores. One thread serves all reads.
pub struct Remote {
    runtime: Arc<Runtime>,
    settings: Vec<(String, String)>,
}

impl Remote {
    /// A reader with settings by the names of their environment variables, of any case: `std::env::vars()`, usually.
    ///
    /// # Errors
    /// When the machine has no room for another thread.
    pub fn new(settings: impl IntoIterator<Item = (String, String)>) -> Result<Self, RemoteError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("object-store")
            .enable_all()
            .build()
            .map_err(RemoteError::Runtime)?;
        let settings = settings.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Ok(Self { runtime: Arc::new(runtime), settings })
    }

    /// The objects that a URL names: the one of that name, or all below it, by name. The last parts of the path may be a
    /// pattern with `*`, `?` and `[..]`; `**` goes over folders.
    ///
    /// # Errors
    /// When the address makes no sense, the store cannot be listed, or nothing is there.
    pub fn list(&self, url: &str) -> Result<Vec<Object>, RemoteError> {
        let (literal, pattern) = split(url);
        let (store, path, base) = self.store(&literal)?;
        let found = match pattern {
            None => self.one_or_below(store.as_ref(), &path, url),
            Some(_) => self.below(store.as_ref(), &folder_of(&path, &literal), url),
        };
        let pattern = match pattern {
            Some(_) => Some(self.pattern(url, &path, &literal)?),
            None => None,
        };
        let mut objects = Vec::new();
        for meta in found? {
            let name = meta.location.to_string();
            if pattern.as_ref().is_some_and(|pattern| !pattern.matches_with(&name, MATCHING)) {
                continue;
            }
            objects.push(Object {
                url: format!("{base}{name}"),
                size: meta.size,
                version: version(&meta),
                location: meta.location,
            });
        }
        objects.sort_by(|a, b| a.url.cmp(&b.url));
        if objects.is_empty() {
            return Err(RemoteError::Nothing { url: url.to_owned() });
        }
        Ok(objects)
    }

    /// Reads an object from a byte on.
    ///
    /// # Errors
    /// When the address makes no sense. What the store refuses shows when reading.
    pub fn open(&self, object: &Object, from: u64) -> Result<ObjectReader, RemoteError> {
        let (store, ..) = self.store(&object.url)?;
        Ok(ObjectReader::new(store, Arc::clone(&self.runtime), object, from))
    }

    /// The store of a URL, the path in it, and what its objects' URLs begin with.
    fn store(&self, text: &str) -> Result<(Arc<dyn ObjectStore>, Path, String), RemoteError> {
        let wrong = |reason: String| RemoteError::Address { url: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        let settings = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let (store, path) =
            object_store::parse_url_opts(&url, settings).map_err(|error| wrong(error.to_string()))?;
        let whole = url.as_str();
        let in_store = url.path().trim_start_matches('/');
        let path_text = path.as_ref();
        // `https://account.blob.core.windows.net/container/path`: the container is before the path.
        let kept = in_store.len() - in_store.rfind(path_text).map_or(0, |at| in_store.len() - at);
        let root = whole.len() - url.path().trim_start_matches('/').len();
        let base = if path_text.is_empty() {
            format!("{}/", whole.trim_end_matches('/'))
        } else {
            whole[..root + kept].to_owned()
        };
        Ok((Arc::from(store), path, base))
    }

    fn one_or_below(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
        url: &str,
    ) -> Result<Vec<object_store::ObjectMeta>, RemoteError> {
        if !path.as_ref().is_empty() && !url.ends_with('/') {
            match self.runtime.block_on(store.head(path)) {
                Ok(meta) => return Ok(vec![meta]),
                Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => {
                    return Err(RemoteError::Store { action: "read", url: url.to_owned(), source });
                }
            }
        }
        self.below(store, path, url)
    }

    fn below(
        &self,
        store: &dyn ObjectStore,
        path: &Path,
        url: &str,
    ) -> Result<Vec<object_store::ObjectMeta>, RemoteError> {
        let failed = |source| RemoteError::Store { action: "list", url: url.to_owned(), source };
        self.runtime.block_on(async {
            let mut listed = store.list((!path.as_ref().is_empty()).then_some(path));
            let mut found = Vec::new();
            while let Some(meta) = listed.try_next().await.map_err(failed)? {
                if found.len() >= OBJECTS_MAX {
                    return Err(RemoteError::TooMany { url: url.to_owned(), most: OBJECTS_MAX });
                }
                // Consoles make empty objects to show folders.
                if meta.size > 0 {
                    found.push(meta);
                }
            }
            Ok(found)
        })
    }

    /// The pattern that objects' paths in the store have to match.
    fn pattern(&self, url: &str, path: &Path, literal: &str) -> Result<Pattern, RemoteError> {
        let rest = &url[literal.len()..];
        let folder = folder_of(path, literal);
        let begin = if literal.ends_with('/') {
            String::new()
        } else {
            path.filename().unwrap_or_default().to_owned()
        };
        let joined = match folder.as_ref() {
            "" => format!("{begin}{rest}"),
            folder => format!("{}/{}{rest}", Pattern::escape(folder), Pattern::escape(&begin)),
        };
        Pattern::new(&joined)
            .map_err(|error| RemoteError::Address { url: url.to_owned(), reason: error.to_string() })
    }
}

/// `*` stays within a folder, as in a shell.
const MATCHING: glob::MatchOptions = glob::MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A URL up to its first special character, and whether there is one.
fn split(url: &str) -> (String, Option<&str>) {
    match url.find(['*', '?', '[']) {
        Some(at) => (url[..at].to_owned(), Some(&url[at..])),
        None => (url.to_owned(), None),
    }
}

/// What is to be listed for a pattern: the folder that its literal beginning names.
fn folder_of(path: &Path, literal: &str) -> Path {
    if literal.ends_with('/') {
        return path.clone();
    }
    let text = path.as_ref();
    Path::from(text.rfind('/').map_or("", |at| &text[..at]))
}

/// What tells one version of an object from another.
fn version(meta: &object_store::ObjectMeta) -> String {
    let tag = meta.version.as_deref().or(meta.e_tag.as_deref());
    tag.map_or_else(|| meta.last_modified.to_rfc3339(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_stores_are_told_from_files() {
        for url in [
            "s3://b/p",
            "gs://b",
            "az://c/p",
            "abfss://c@a.dfs.core.windows.net/p",
            "https://a.blob.core.windows.net/c/p",
        ] {
            assert!(is_url(url), "{url}");
        }
        for word in ["flows.log", "/var/log/x", "C:\\logs\\x", "https://example.com/x", "-", "file:///x"] {
            assert!(!is_url(word), "{word}");
        }
    }

    #[test]
    fn patterns_split_behind_their_literal_beginning() {
        assert_eq!(split("s3://b/a/2026-*/x?.gz"), ("s3://b/a/2026-".to_owned(), Some("*/x?.gz")));
        assert_eq!(folder_of(&Path::from("a/2026-"), "s3://b/a/2026-"), Path::from("a"));
        assert_eq!(folder_of(&Path::from("a"), "s3://b/a/"), Path::from("a"));
    }
}
