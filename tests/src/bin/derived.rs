//! Explores crashes of snapshots and runs of ids by the seed: `cargo run -p florin-tests --release --bin derived -- --seeds 0..500`.

fn main() -> std::process::ExitCode {
    florin_tests::campaign::main("derived", florin_tests::derived::run)
}
