//! `docs/outcomes.md` is what the code says. `FLORIN_WRITE_DOCS=1` writes it anew.

use std::fmt::Write;

use florin_core::outcome::OUTCOMES;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/outcomes.md");

/// First number of a group of checks, and what the group is.
const GROUPS: [(u16, &str); 9] = [
    (0, "Done"),
    (1, "Shape: wrong whatever the state of the ledger"),
    (20, "Not now, or not you"),
    (30, "The id"),
    (32, "What the item names"),
    (40, "The whole transaction"),
    (50, "Each account, in the order of first mention"),
    (61, "Account changes"),
    (70, "Control records"),
];

fn page() -> String {
    let mut page = String::from(
        "# Outcomes\n\n\
         What became of one item of a request, in the order in which the checks are made: the first that fails is the outcome.\n\
         Which check belongs to which kind of item is in [rules.md](rules.md). The list only grows, with the version of the protocol,\n\
         and it is the same in every client.\n\n\
         *Final*: the outcome is recorded, the id is spent, and every repeat of it gives the same answer; to try again, use a\n\
         new id. The others record nothing: the same id may be used again once the cause is gone.\n",
    );
    for info in OUTCOMES {
        let number = info.outcome.number();
        if let Some((_, title)) = GROUPS.iter().find(|(first, _)| *first == number) {
            writeln!(page, "\n## {title}\n\n| number | name | final | cause and remedy |\n|---|---|---|---|")
                .expect("a string takes all");
        }
        let recorded = if info.recorded { "final" } else { "not recorded" };
        writeln!(page, "| {number} | `{}` | {recorded} | {} |", info.name, info.help).expect("a string takes all");
    }
    page
}

#[test]
fn the_page_of_outcomes_is_what_the_code_says() {
    if std::env::var_os("FLORIN_WRITE_DOCS").is_some() {
        std::fs::write(PATH, page()).expect("a file that can be written");
    }
    let published = std::fs::read_to_string(PATH).expect("the page");
    assert_eq!(published, page(), "write it anew with FLORIN_WRITE_DOCS=1");
}
