//! Explores crashes of the log by the seed: `cargo run -p florin-tests --release --bin crashes -- --seeds 0..500`.

fn main() -> std::process::ExitCode {
    florin_tests::campaign::main("crashes", florin_tests::crash::run)
}
