//! Whether the side that is taken for the client is the one that opened the conversation.

pub mod data;
pub mod fit;
pub mod report;
