//! Changes frames of recorded logs by the seed: `cargo run -p florin-tests --release --bin mutations -- --seeds 0..10000`.

fn main() -> std::process::ExitCode {
    florin_tests::campaign::main("mutations", florin_tests::mutations::run)
}
