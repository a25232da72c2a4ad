//! What is lost on the way: answers, connections, and whoever reads the output; and signals in between.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use common::proxy::{Loss, Proxy};
use common::{Said, binary, florin, new_ledger, path_text, small_bank};
use florin_bench::{ServerProcess, ServerSettings};
use florin_net::Operation;

/// A ledger with a server, and accounts alice and till; alice has 100.00.
async fn books() -> (tempfile::TempDir, String, ServerProcess) {
    let (folder, data) = new_ledger(&["EUR:2"]);
    let settings = ServerSettings { binary: binary(), arguments: Vec::new() };
    let server = ServerProcess::start(&settings, std::path::Path::new(&data)).await.expect("a server");
    let address = server.address().to_string();
    for arguments in [
        &["account", "open", "--id", "alice", "--side", "credit"][..],
        &["account", "open", "--id", "till", "--side", "debit", "--category", "platform"],
        &["post", "--debit", "@till:100", "--credit", "@alice:100"],
    ] {
        at(&address, arguments, 0);
    }
    (folder, data, server)
}

fn at(address: &str, arguments: &[&str], code: i32) -> Said {
    let mut all = arguments.to_vec();
    all.extend(["--server", address]);
    florin(&all).expect(code)
}

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(binary());
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("florin runs")
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status().expect("kill runs");
    assert!(status.success());
}

#[tokio::test]
async fn a_change_that_is_interrupted_says_its_id_and_can_be_repeated() {
    let (_folder, _data, server) = books().await;
    let address = server.address().to_string();
    let post = ["--json", "post", "--debit", "@alice:1", "--credit", "@till:1"];
    let freeze = ["--json", "account", "freeze", "@alice", "--credit", "--reason", "x"];
    let day = ["--json", "day", "set", "2090-01-31"];
    for (operation, arguments, signal_name) in [
        (Operation::PostTransfers, &post[..], "-INT"),
        (Operation::ChangeAccounts, &freeze, "-TERM"),
        (Operation::Control, &day, "-INT"),
    ] {
        let proxy = Proxy::start(server.address(), Some((operation, Loss::Silence)));
        let mut all = arguments.to_vec();
        let through = proxy.address();
        all.extend(["--server", &through]);
        let child = start(&all);
        proxy.wait_for_the_loss();
        signal(&child, signal_name);
        let ended = child.wait_with_output().expect("it ends");
        let err = String::from_utf8(ended.stderr).expect("text");
        assert_eq!(ended.status.code(), Some(2), "{err}");
        assert!(err.contains("may or may not have been applied"), "{err}");
        let id = err.split("--id ").nth(1).and_then(|rest| rest.split(')').next()).expect("its id").to_string();
        let mut again = arguments.to_vec();
        again.extend(["--id", &id]);
        assert_eq!(at(&address, &again, 0).json()["repeat"], true, "{arguments:?}");
    }
    assert_eq!(at(&address, &["--json", "balance", "@alice"], 0).json()["balance"], "99.00");
    server.stop().await.expect("exit code 0");
}

#[tokio::test]
async fn what_is_sent_again_in_one_run_is_not_of_an_earlier_run() {
    let (_folder, data, server) = books().await;
    let through = |operation| Proxy::start(server.address(), Some((operation, Loss::Cut)));
    let proxy = through(Operation::PostTransfers);
    let said = at(&proxy.address(), &["post", "--debit", "@alice:1", "--credit", "@till:1"], 0);
    assert!(said.out.contains("recorded before: this is its original result"), "{}", said.out);
    let proxy = through(Operation::PostTransfers);
    let file = path_text(&small_bank());
    let import = ["--json", "import", &file, "--asset", "CZK:2", "--retry-refused"];
    let first = at(&proxy.address(), &import, 1).json();
    proxy.wait_for_the_loss();
    let refused = first["refused"].as_array().expect("a list");
    assert_eq!(refused.len(), 6);
    assert!(refused.iter().all(|row| row["attempts"] == 1 && row["refused_earlier"] == false), "{refused:?}");
    assert_eq!((&first["posted_now"], &first["posted_earlier"]), (&294.into(), &0.into()));
    // The next run retries them.
    let second = at(&server.address().to_string(), &import, 1).json();
    assert_eq!((&second["posted_now"], &second["posted_earlier"]), (&5.into(), &294.into()));
    server.stop().await.expect("exit code 0");
    assert_eq!(florin(&["--json", "verify", "--data", &data]).expect(0).json()["fine"], true);
}

#[tokio::test]
async fn a_watch_that_follows_says_that_the_connection_is_lost_and_goes_on() {
    let (_folder, _data, server) = books().await;
    let address = server.address().to_string();
    let proxy = Proxy::start(server.address(), None);
    let mut watch = start(&["--json", "watch", "--follow", "--server", &proxy.address()]);
    let mut out = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut err = BufReader::new(watch.stderr.take().expect("its errors")).lines();
    assert!(out.next().expect("a line").expect("text").contains("\"outcome\":\"posted\""));
    for round in 0..2 {
        proxy.cut();
        let said = err.next().expect("a line").expect("text");
        assert!(said.starts_with("connection lost (") && said.ends_with("), trying again"), "{round}: {said}");
        proxy.mend();
        let id = format!("{}", 70 + round);
        at(&address, &["post", "--debit", "@alice:1", "--credit", "@till:1", "--id", &id], 0);
        assert!(out.next().expect("a line").expect("text").contains(&format!("\"id\":\"{id}\"")), "{round}");
    }
    signal(&watch, "-INT");
    assert_eq!(watch.wait().expect("it ends").code(), Some(0));
    assert!(err.next().is_none(), "each loss is told once");
    server.stop().await.expect("exit code 0");
}

/// Where nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[tokio::test]
async fn exit_codes_do_not_depend_on_who_reads() {
    let (_folder, _data, server) = books().await;
    let address = server.address().to_string();
    let code = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).args(["--server", &address]).stdout(closed_pipe()).stderr(closed_pipe());
        command.status().expect("florin runs").code()
    };
    let refused = ["post", "--debit", "@alice:1000", "--credit", "@till:1000"];
    assert_eq!(code(&refused), Some(1));
    assert_eq!(code(&["--json", "account", "close", "@alice", "--reason", "x"]), Some(1));
    assert_eq!(code(&["post", "--debit", "@alice:1", "--credit", "@till:1"]), Some(0));
    for arguments in [&["account", "list"][..], &["--json", "watch"], &["statement", "@alice", "--csv"]] {
        assert_eq!(code(arguments), Some(0), "{arguments:?}");
    }
    assert_eq!(code(&["--json", "account", "show", "@nobody"]), Some(1));
    assert_eq!(code(&["find", "--reference", "12"]), Some(1));
    server.stop().await.expect("exit code 0");
}

#[test]
fn a_server_goes_on_when_nobody_reads_its_output() {
    let (_folder, data) = new_ledger(&["EUR:2"]);
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let address = port.to_string();
    let mut server = Command::new(binary())
        .args(["serve", "--data", &data, "--listen", &address])
        .stdout(closed_pipe())
        .spawn()
        .expect("a server");
    while florin(&["stats", "--server", &address]).code != 0 {
        assert_eq!(server.try_wait().expect("its status"), None, "the server ended");
    }
    florin(&["account", "open", "--server", &address, "--id", "a", "--side", "credit"]).expect(0);
    signal(&server, "-TERM");
    assert_eq!(server.wait().expect("it ends").code(), Some(0));
    florin(&["verify", "--data", &data]).expect(0);
}
