//! Damages copies of logs by the seed: `cargo run -p florin-tests --release --bin damage -- --seeds 0..1200`.

fn main() -> std::process::ExitCode {
    florin_tests::campaign::main("damage", florin_tests::damage::run)
}
