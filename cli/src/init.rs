//! `florin init`: makes a new ledger in a folder and registers its first assets.

use std::path::PathBuf;

use clap::Args;
use florin_wal::{CreateError, LedgerOptions, create_ledger};
use serde_json::json;

use crate::assets::{AssetSpec, ensure};
use crate::client::{Target, with_session};
use crate::error::{CliError, CliResult, EXIT_FINE, chain};
use crate::output::Output;

/// Make a new ledger in a new or empty folder.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The folder; made if it does not exist
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Bytes of each file of the log: 65536 to 268435456, a multiple of 4096
    #[arg(long, value_name = "BYTES", default_value_t = florin_wal::limits::SEGMENT_BYTES_DEFAULT)]
    segment_bytes: u64,
    /// An asset with its decimal places, for example EUR:2; may be repeated
    #[arg(long, value_name = "CODE:SCALE")]
    asset: Vec<AssetSpec>,
}

/// Runs the command.
pub fn run(arguments: &InitArguments, output: Output) -> CliResult {
    let options = LedgerOptions { segment_bytes: arguments.segment_bytes, created_unix_ns: now_ns() };
    let manifest = create_ledger(&arguments.data, &options).map_err(create_error)?;
    let mut registered = Vec::new();
    if !arguments.asset.is_empty() {
        let target = Target { data: Some(arguments.data.clone()), ..Target::default() };
        with_session(&target, async |client| {
            for spec in &arguments.asset {
                registered.push(ensure(&client, spec).await?);
            }
            Ok(())
        })?;
    }
    output.text(format!("made ledger {} in {}", manifest.ledger, arguments.data.display()));
    for asset in &registered {
        output.text(format!("registered asset {} as number {}, scale {}", asset.code, asset.number, asset.scale));
    }
    output.text(format!("  next: florin serve --data {}", arguments.data.display()));
    output.object(&json!({
        "ledger": manifest.ledger.to_string(),
        "data": arguments.data,
        "segment_bytes": manifest.segment_bytes,
        "assets": registered.iter().map(|a| json!({ "code": a.code, "number": a.number, "scale": a.scale })).collect::<Vec<_>>(),
    }));
    Ok(EXIT_FINE)
}

/// Nanoseconds since 1970 by this machine's clock.
pub fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// An error of making a ledger with what to do next.
pub fn create_error(error: CreateError) -> CliError {
    let next = match &error {
        CreateError::NotEmpty { data } => {
            format!("choose another folder, or serve what is there with `florin serve --data {}`", data.display())
        }
        CreateError::SegmentBytes { .. } => "leave --segment-bytes away for files of 64 MiB".to_string(),
        CreateError::Key(_) | CreateError::Io { .. } => {
            "check that the folder can be written to and that its disk has room".to_string()
        }
    };
    CliError::cannot(chain(&error), next)
}
