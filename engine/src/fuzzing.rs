//! What the fuzz targets of florin-tests reach into: decoders of files that nothing outside reads. No part of what this crate promises.

pub use crate::history::index::Section;
pub use crate::history::index::file::{IndexError, IndexFile, Run};
