//! An object, read like a file.

use std::io::{self, Read};
use std::sync::Arc;

use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{Receiver, channel};

/// How much is asked for at a time: few requests, bounded memory.
const PORTION_BYTES: u64 = 8 * 1024 * 1024;

/// Portions that are fetched ahead.
const AHEAD: usize = 2;

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its address.
    pub url: String,
    /// Its size in bytes.
    pub size: u64,
    /// What changes when its content does: the version, the entity tag, or the time of its last change.
    pub version: String,
    pub(crate) location: Path,
}

/// Reads an object portion by portion, fetching ahead. Each portion is asked for with the entity tag seen first, so that an
/// object that is written anew meanwhile is an error, and never a mixture.
pub struct ObjectReader {
    portions: Receiver<io::Result<bytes::Bytes>>,
    now: bytes::Bytes,
    failed: bool,
    /// Keeps the thread that fetches.
    _runtime: Arc<Runtime>,
}

impl ObjectReader {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        runtime: Arc<Runtime>,
        object: &Object,
        from: u64,
    ) -> Self {
        let (sender, portions) = channel(AHEAD);
        let (location, size) = (object.location.clone(), object.size);
        runtime.spawn(async move {
            let (mut at, mut tag) = (from, None);
            while at < size {
                let to = (at + PORTION_BYTES).min(size);
                let options = GetOptions {
                    range: Some(GetRange::Bounded(at..to)),
                    if_match: tag.clone(),
                    ..GetOptions::default()
                };
                let got = async {
                    let result = store.get_opts(&location, options).await?;
                    let tag = result.meta.e_tag.clone();
                    Ok::<_, object_store::Error>((tag, result.bytes().await?))
                };
                let portion = match got.await {
                    Ok((new_tag, bytes)) => {
                        tag = new_tag;
                        at += bytes.len() as u64;
                        if bytes.is_empty() { break } else { Ok(bytes) }
                    }
                    Err(error) => Err(io::Error::other(error)),
                };
                let failed = portion.is_err();
                // Nobody reads on: the object was given up.
                if sender.send(portion).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { portions, now: bytes::Bytes::new(), failed: false, _runtime: runtime }
    }
}

/// Whether reading failed because of the store, and not of what the object holds.
pub fn is_store_failure(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<object_store::Error>())
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            if self.failed {
                return Ok(0);
            }
            match self.portions.blocking_recv() {
                Some(Ok(bytes)) => self.now = bytes,
                Some(Err(error)) => {
                    self.failed = true;
                    return Err(error);
                }
                None => return Ok(0),
            }
        }
        let length = self.now.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.now.split_to(length));
        Ok(length)
    }
}
