//! Object stores as places to read from: Amazon S3 (and what speaks its protocol), Azure Blob Storage, Google Cloud
//! Storage.
//!
//! Credentials, regions and endpoints are those of each cloud's own tools: environment variables (`AWS_ACCESS_KEY_ID`,
//! `AWS_REGION`, `AWS_ENDPOINT`, `AZURE_STORAGE_ACCOUNT_NAME`, `GOOGLE_APPLICATION_CREDENTIALS`, ...), or the machine's or
//! pod's own identity where there is none. They are never printed.

mod object;
mod store;

pub use object::{Object, ObjectReader, is_store_failure};
pub use store::{Remote, RemoteError, is_url};
