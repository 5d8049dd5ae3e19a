//! The tables of `spec/configuration.md`, made from the command line's own definitions.
//!
//! The prose above [`MARK`] is written by hand. After a change of options:
//! `WRITE_REFERENCE=1 cargo test --release -p tunnel-cli --lib reference`.

mod notes;

use std::{fmt::Write, fs, path::Path};

use clap::{Arg, ArgAction, Args, Command, CommandFactory};

use self::notes::{Note, Taken, VALUES, notes};
use crate::{cli::Cli, config::RoutingOptions};

/// Everything below this line of the file is made here.
const MARK: &str = "<!-- Below this line: WRITE_REFERENCE=1 cargo test --release -p tunnel-cli --lib reference -->\n";

/// Commands whose options are a table of the file.
const TABLES: [&str; 4] = ["host", "gateway", "tunnel-server", "relay"];

#[test]
fn the_reference_of_the_configuration_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/configuration.md");
    let file = fs::read_to_string(&path).expect("the document is there");
    let (prose, written) = file.split_once(MARK).expect("the document has its mark");
    let generated = generated();
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        fs::write(&path, [prose, MARK, &generated].concat()).expect("the document can be written");
    } else {
        assert!(
            written == generated,
            "spec/configuration.md is out of date: WRITE_REFERENCE=1 cargo test --release -p tunnel-cli --lib reference"
        );
    }
}

#[test]
fn every_option_has_a_note_and_every_note_an_option() {
    let cli = Cli::command();
    for (name, command) in shown(&cli).into_iter().chain([(String::new(), &cli)]) {
        let options: Vec<String> = arguments(command).map(id).collect();
        let noted: Vec<&str> = notes(&name).iter().map(|note| note.option).collect();
        for option in &options {
            let hint = "say in src/reference/notes.rs when it is read, and what is to be known for security";
            assert!(noted.contains(&option.as_str()), "`{name}` has the option `{option}` without a note: {hint}");
        }
        for option in noted {
            assert!(options.iter().any(|known| known == option), "`{name}` has no option `{option}`");
        }
    }
}

#[test]
fn what_is_read_again_is_the_routing_of_a_gateway() {
    let routing = RoutingOptions::augment_args(Command::new("routing"));
    let mut routing: Vec<String> = routing.get_arguments().map(id).collect();
    let mut reloaded: Vec<String> =
        notes("gateway").iter().filter(|note| note.taken == Taken::Reload).map(|note| note.option.to_owned()).collect();
    routing.sort_unstable();
    reloaded.sort_unstable();
    assert_eq!(routing, reloaded);
    for name in ["", "host", "tunnel-server", "relay"] {
        assert!(notes(name).iter().all(|note| note.taken == Taken::Restart), "{name}: only a gateway reads again");
    }
}

#[test]
fn every_secret_has_a_word_on_security() {
    let cli = Cli::command();
    for (name, command) in shown(&cli) {
        for arg in arguments(command).filter(|arg| arg.is_hide_env_values_set()) {
            assert!(!note(&name, arg).text.is_empty(), "{} of {name}", id(arg));
        }
    }
}

fn generated() -> String {
    let cli = Cli::command();
    let mut text = String::from("\n## Values\n\n| written as | what it is |\n|---|---|\n");
    for (name, meaning) in VALUES {
        writeln!(text, "| `{name}` | {meaning} |").expect("a string");
    }
    section(&mut text, "Every command", "", &cli);
    for (name, command) in shown(&cli) {
        let table = if TABLES.contains(&&*name) { format!(", table `[{name}]`") } else { String::new() };
        section(&mut text, &format!("`tunnel-p2p {name}`{table}"), &name, command);
    }
    text
}

fn section(text: &mut String, title: &str, name: &str, command: &Command) {
    let head = "| option | environment variable | key | default | read | meaning |\n|---|---|---|---|---|---|";
    let about =
        if name.is_empty() { String::new() } else { format!("{}.\n\n", command.get_about().expect("a sentence")) };
    write!(text, "\n## {title}\n\n{about}{head}\n").expect("a string");
    for arg in arguments(command) {
        let note = note(name, arg);
        let help = arg.get_help().expect("every option is explained").to_string();
        let (meaning, default) = default(arg, &help);
        let mut meaning = sentence(&meaning);
        let values = values(arg);
        if !values.is_empty() {
            write!(meaning, " One of {}.", values.join(", ")).expect("a string");
        }
        if !note.text.is_empty() {
            write!(meaning, " *{}*", note.text).expect("a string");
        }
        let cells = [
            code(&written(arg)),
            arg.get_env().map_or_else(String::new, |env| code(&env.to_string_lossy())),
            key(name, arg).unwrap_or_default(),
            default,
            note.taken.name().to_owned(),
            meaning,
        ];
        writeln!(text, "| {} |", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")).expect("a string");
    }
}

/// The commands that the help shows, with their whole names; of one that has commands of its own, those.
fn shown(cli: &Command) -> Vec<(String, &Command)> {
    let mut shown = Vec::new();
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = command.get_name();
        if command.has_subcommands() {
            shown.extend(command.get_subcommands().map(|inner| (format!("{name} {}", inner.get_name()), inner)));
        } else {
            shown.push((name.to_owned(), command));
        }
    }
    shown
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !matches!(arg.get_long(), Some("help" | "version")))
}

/// The long flag, or the name of what has none.
fn id(arg: &Arg) -> String {
    arg.get_long().map_or_else(|| value_name(arg), str::to_owned)
}

fn note(name: &str, arg: &Arg) -> Note {
    let option = id(arg);
    let found = notes(name).iter().find(|note| note.option == option);
    *found.unwrap_or_else(|| panic!("`{name}` has the option `{option}` without a note in src/reference/notes.rs"))
}

fn value_name(arg: &Arg) -> String {
    arg.get_value_names().into_iter().flatten().map(ToString::to_string).collect()
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::Count)
}

/// As it stands on a command line.
fn written(arg: &Arg) -> String {
    let value = value_name(arg);
    let short = arg.get_short().map_or_else(String::new, |short| format!("-{short}, "));
    match arg.get_long() {
        None => value,
        Some(long) if is_flag(arg) => format!("{short}--{long}"),
        Some(long) if value == "BOOL" => format!("{short}--{long}[=BOOL]"),
        Some(long) => format!("{short}--{long} {value}"),
    }
}

/// Where it stands in the file.
fn key(name: &str, arg: &Arg) -> Option<String> {
    let long = arg.get_long()?;
    let routing = RoutingOptions::augment_args(Command::new("routing"));
    let is_routing = routing.get_arguments().any(|known| known.get_long() == Some(long));
    match (name, long) {
        ("", _) => long.strip_prefix("log-").map(|key| format!("`{key}` in `[log]`")),
        (name, long) if TABLES.contains(&name) => Some(code(long)),
        ("explain", long) if is_routing => Some(format!("`{long}` in `[gateway]`")),
        ("ping", "count" | "interval" | "timeout") | ("doctor", "peer" | "peer-file" | "bind" | "timeout") => None,
        ("ping", long) => Some(format!("`{long}` in `[gateway]`")),
        ("doctor", long) => Some(format!("`{long}` in `[host]` or `[gateway]`")),
        ("status" | "mode", "admin") => Some("`admin` in `[gateway]`".to_owned()),
        ("peers forget", "state-dir") | ("peers list", "gateway-state-dir") => {
            Some("`state-dir` in `[gateway]`".to_owned())
        }
        ("id" | "peers list" | "peers revoke" | "peers allow", "state-dir") => {
            Some("`state-dir` in `[host]`".to_owned())
        }
        _ => None,
    }
}

/// What the help says without its default, and the default.
fn default(arg: &Arg, help: &str) -> (String, String) {
    if let Some((meaning, default)) = help.split_once(" [default: ") {
        let default = default.strip_suffix(']').expect("the default is the end of the help");
        return (meaning.to_owned(), default.to_owned());
    }
    let default = match arg.get_default_values() {
        [] if is_flag(arg) || value_name(arg) == "BOOL" => "no".to_owned(),
        [] => "none".to_owned(),
        values => values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(", "),
    };
    // Clap itself says `false` for a flag that is not given.
    (help.to_owned(), if is_flag(arg) { "no".to_owned() } else { default })
}

fn values(arg: &Arg) -> Vec<String> {
    if is_flag(arg) || value_name(arg) == "BOOL" {
        return Vec::new();
    }
    arg.get_possible_values().iter().map(|value| code(value.get_name())).collect()
}

fn sentence(text: &str) -> String {
    format!("{text}.")
}

fn code(text: &str) -> String {
    format!("`{text}`")
}
