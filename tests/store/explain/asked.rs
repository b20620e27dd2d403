//! What each statement is asked for: what a service asks, at its usual sizes.

use super::filled::agents;

/// Statements of sessions, of one process's start, and on tables of a few rows.
pub(super) const SMALL: &[&str] = &[
    "SESSION",
    "SETTINGS",
    "UNHURRIED",
    "LEFT_OPEN",
    "LOCAL",
    "HAS_MIGRATIONS",
    "HIDDEN_SCHEMA",
    "APPLIED",
    "HEAD",
    "FIRST_HEAD",
    "CONFIRM_HEAD",
    "NOW",
    "VACUUMED",
    "SCHEMA_BYTES",
    "TRY_LEAD",
    "END_SILENT",
    "HOLDER",
    "CHANNEL",
    "SILENCE",
    "LAST_TURN",
    "TAKE_TURN",
    "BEAT",
    "SHARE_TURN",
    "NEWEST_TURN",
    "HAD_TURN",
    "SEND_JOBS",
    "WAITING_JOBS",
    "ANSWER_JOBS",
    "COLLECT_ANSWERS",
    "PRESENT_JOBS",
    "WITHDRAW_JOBS",
    "CLEAN_INBOX",
    "IS_LED",
    "INSERT_EPOCH",
    "CLAIM_STAGING",
    "DISOWN_STAGED",
    "STAGE",
    "HOLD_STAGING",
    "SHORTEN_STAGED",
    "TAKE_STAGED",
];

/// Statements of the writer's connection, whose settings are its own.
pub(super) const WRITERS: &[&str] = &[
    "SWAP_HEAD",
    "PUBLISH",
    "INSERT_ROWS",
    "INSERT_ENTRIES",
    "INTERN",
    "INTERN_MARKETS",
    "SUPERSEDE",
    "INSERT_REPORTS",
    "INSERT_BODIES",
    "INSERT_DOCUMENTS",
    "ADMISSION_FACTS",
    "KNOWN_DOCUMENTS",
    "ERASE_REPORT",
    "ERASE_BODY",
    "ERASE_DOCUMENTS",
    "CLOSE_CHAIN",
    "DROP_MARKET",
    "DROP_AGENTS",
    "INSERT_ERASED",
    "INSERT_STATEMENTS",
    "INSERT_TILES",
    "REMOVE_STAGED",
    "REMOVE_STAGED_TILES",
    "DROP_UNNAMED",
    "UNSTAGE_AGENTS",
    "SET_ALIAS",
    "ADD_TOKEN",
    "SET_META",
    "REPLACE_META",
];

/// A statement with arguments.
pub(super) struct Asked {
    pub name: &'static str,
    pub arguments: String,
    /// Whether all rows of a table are the answer.
    pub reads_all: bool,
    pub may_leave_out: u64,
}

/// Rows of a batch, as the writer makes them.
pub(super) const BATCH: u64 = 256;

/// Statements that are asked for a batch, and the most pages that each of its rows may cost: a few for every index that is read or
/// written, however large the tables are.
pub(super) const BATCHES: &[(&str, u64)] = &[
    // Two agents, a market, five indexes and the reporter's count.
    ("ADMISSION_FACTS", 50),
    ("KNOWN_DOCUMENTS", 8),
    ("INSERT_ENTRIES", 10),
    ("INTERN", 16),
    ("INTERN_MARKETS", 8),
    ("SUPERSEDE", 60),
    // Two agents, a market and nine indexes.
    ("INSERT_REPORTS", 60),
    ("INSERT_BODIES", 10),
    ("INSERT_DOCUMENTS", 20),
    // With entry, body and document.
    ("INSERT_ROWS", 100),
    ("INSERT_STATEMENTS", 30),
    ("INSERT_TILES", 20),
    ("DROP_UNNAMED", 60),
];

fn array(kind: &str, of: impl Fn(u64) -> String) -> String {
    let all: Vec<_> = (0..BATCH).map(of).collect();
    format!("ARRAY[{}]::{kind}[]", all.join(","))
}

fn agent(n: u64) -> String {
    format!("sha256('agent{n}')")
}

pub(super) fn all(reports: u64) -> Vec<Asked> {
    let agents = agents(reports);
    let middle = reports / 2 / 1000 * 1000;
    // Spread over the whole table; known ones and new ones.
    let old = |i: u64| middle + 10 + i * (reports / 2 - 20) / BATCH / 2 * 2;
    let any = |i: u64| agent(2 + i * 37 % (agents - 1));
    let new = |i: u64| reports + i;
    let bytes = |f: &dyn Fn(u64) -> String| array("bytea", f);
    let report = |i: u64| format!("sha256('report{i}')");
    let number = |i: u64| i.to_string();
    let yes = |_: u64| "true".to_owned();
    let mut all = Vec::new();
    let mut ask = |name: &'static str, arguments: String| {
        all.push(Asked {
            name,
            arguments,
            reads_all: false,
            may_leave_out: 1000,
        });
    };
    ask(
        "SWAP_HEAD",
        format!("1, sha256('x'), 1, 'note', {reports}, sha256('root')"),
    );
    ask("PUBLISH", format!("{reports} + 1, 1, 'note'"));
    ask("CHECKPOINTS", format!("{middle}, 100"));
    ask("NEWEST_CHECKPOINTS", format!("{reports}, 10"));
    ask("PUBLISHED", "NULL".to_owned());
    ask("PUBLISHED", format!("{middle}"));
    ask("ENTRIES", format!("{middle}, {middle} + 256"));
    ask("EVENTS", format!("'policy', {reports}"));
    ask("INDEX_AT", format!("1700000000000 + {middle} * 10"));
    ask(
        "TILES",
        format!("0, '{{0,0,0}}', '{{1,2,{}}}'", reports / 256),
    );
    let markets = array("text", |i| format!("'market-{}'", i % 60));
    ask("INTERN", format!("{}, {markets}", bytes(&any)));
    ask("INTERN_MARKETS", markets);
    ask(
        "SUPERSEDE",
        format!(
            "{}, {}",
            array("int8", |i| number(old(i))),
            array("int8", |i| number(new(i)))
        ),
    );
    let indices = array("int8", |i| number(new(i)));
    let entries = format!(
        "{indices}, {}, {}, {}",
        array("int8", |_| "1".to_owned()),
        array("text", |_| "'report'".to_owned()),
        bytes(&report)
    );
    let rows = format!(
        "{indices}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}",
        bytes(&|i| report(new(i))),
        array("int8", |_| "1".to_owned()),
        bytes(&any),
        bytes(&|i| any(i + 1)),
        array("text", |i| format!("'market-{}'", 1 + i % 50)),
        array("text", |i| format!("'new-{i}'")),
        array("int2", |_| "0".to_owned()),
        array("text", |i| format!("'new-{i}'")),
        array("bool", yes),
        array("bool", yes),
        array("int8", |_| "NULL".to_owned())
    );
    let bodies = array("text", |_| "'body'".to_owned());
    let digests = bytes(&|i| report(new(i)));
    // A batch changes a tile of every level; more of them would be half of all the pages.
    let tiles = format!(
        "'{{0,0}}', '{{0,1}}', '{{{},0}}', ARRAY[sha256('0'), sha256('1')]",
        reports / 256
    );
    ask(
        "INSERT_ROWS",
        format!("{rows}, {entries}, {bodies}, {digests}, {indices}, {tiles}"),
    );
    ask("INSERT_ENTRIES", entries);
    ask("INSERT_REPORTS", rows);
    ask("INSERT_BODIES", format!("{indices}, {bodies}"));
    ask("INSERT_DOCUMENTS", format!("{digests}, {indices}"));
    // Every report of another reporter, each of them counted.
    ask(
        "ADMISSION_FACTS",
        format!(
            "{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}",
            bytes(&|i| any(i)),
            array("text", |i| format!("'market-{}'", 1 + i % 3)),
            array("int4", |i| number(i + 1)),
            array("int8", |_| format!(
                "1700000000000 + {reports} * 10 - 100000"
            )),
            bytes(&|i| report(if i % 8 == 0 { old(i) } else { new(i) })),
            array("int4", |i| number(i + 1)),
            array("int4", |i| number((i + 1) % BATCH + 1)),
            array("int4", |i| number(i + 1)),
            array("text", |i| format!("'order-{}'", old(i) / 2)),
            array("int2", |i| number(i % 2)),
            array("text", |i| format!("'jti-{}'", old(i))),
            array("int4", |i| number(i + 1)),
        ),
    );
    ask("BODIES", format!("{middle}, {reports}, 1000"));
    ask("REPORT", format!("sha256('report{}')", middle + 10));
    ask("NEWEST_REPORT", String::new());
    // A trade of the middle, by both parties.
    let trade = middle / 2 + 5;
    let first = 2 + trade % (agents - 1);
    let second = 2 + (trade * 7 + 5 + trade / agents) % (agents - 1);
    let (one, other) = (agent(first), agent(second));
    ask(
        "CURRENT_REPORTS",
        format!(
            "'market-1', 'order-{trade}', ARRAY[{one},{other}], ARRAY[{other},{one}], {reports}"
        ),
    );
    ask(
        "KNOWN_DOCUMENTS",
        bytes(&|i| format!("sha256('document{}')", old(i) / 5 * 5)),
    );
    ask(
        "REPORTS_WITH_DOCUMENT",
        format!("sha256('document{}'), 100", middle + 5),
    );
    ask("LOG_BODIES", format!("{middle}, {reports}, 1000"));
    ask("ERASED", format!("sha256('report{}')", middle - 1));
    ask("ERASED_SINCE", format!("{}", reports - 100));
    let at = middle + 10;
    ask("ERASE_REPORT", format!("{at}, sha256('report{at}')"));
    ask("ERASE_BODY", format!("{at}"));
    ask("ERASE_DOCUMENTS", format!("{at}"));
    ask(
        "CLOSE_CHAIN",
        format!("NULL, 'order-{trade}', 1, {first}, {second}, {at}"),
    );
    ask("DROP_MARKET", "1".to_owned());
    // One without reports, and numbers after it: what an erasure drops.
    ask("DROP_MARKET", "51".to_owned());
    ask("DROP_AGENTS", format!("{first}, {second}"));
    ask(
        "INSERT_ERASED",
        format!("{at}, sha256('report{at}'), {reports}"),
    );
    let tables = "ARRAY['bodies', 'documents', 'reports', 'markets', 'agents', 'inbox']";
    ask("UNSCRUBBED", tables.to_owned());
    ask(
        "INSERT_STATEMENTS",
        format!(
            "20, {}, {}, {}, {}",
            array("int8", |i| number(agents + i)),
            bytes(&any),
            array("bool", yes),
            array("text", |_| "'c'".to_owned())
        ),
    );
    ask(
        "INSERT_TILES",
        format!(
            "{}, {}, {}, {}",
            array("int8", |_| "21".to_owned()),
            array("int2", |_| "0".to_owned()),
            array("int8", |i| number(1_000_000 + i)),
            bytes(&|i| format!("sha256('new tile {i}')"))
        ),
    );
    // A step of removing, and the last one.
    ask(
        "REMOVE_STAGED",
        format!("21, {}", agents.saturating_sub(2048)),
    );
    ask(
        "REMOVE_STAGED_TILES",
        format!("21, {}, 0", (agents.saturating_sub(2048)) / 256),
    );
    ask("REMOVE_STAGED_TILES", "21, 0, NULL".to_owned());
    ask(
        "DROP_UNNAMED",
        array("int8", |i| number(2 + i * 37 % (agents - 1))),
    );
    ask("UNSTAGE_AGENTS", format!("{first}, {second}"));
    ask("EPOCH", "NULL".to_owned());
    ask("EPOCH", "7".to_owned());
    ask("EPOCHS", "10, 5".to_owned());
    ask("STATEMENTS", format!("20, {}, 100", agents / 2));
    ask("STATEMENTS_OF", format!("{one}, 100, 1"));
    ask("SET_ALIAS", format!("'another', {one}"));
    ask("AGENT_OF_ALIAS", "'a17'".to_owned());
    ask("ADD_TOKEN", format!("7, 100000, 20, 0, 0, {one}"));
    ask("STATUS_LIST", "1".to_owned());
    ask("NEWEST_STATUS_LIST", String::new());
    ask("META", "'k7'".to_owned());
    ask("SET_META", "'new', 'v'".to_owned());
    ask("REPLACE_META", "'k7', 'w'".to_owned());
    for (name, more) in filters(&one, trade) {
        ask(name, format!("{}, 100{more}", reports / 4));
    }
    // A page of the largest reporter costs no more than another's.
    ask(
        "REPORTS [false, true, false, false]",
        format!("{}, 100, {}", reports / 4, agent(1)),
    );
    // Every later erasure is looked at: one in a thousand entries here.
    all.push(Asked {
        name: "ERASED_SINCE",
        arguments: format!("{middle}"),
        reads_all: false,
        may_leave_out: reports / 1000,
    });
    // Agent 1 has a hundredth of all trades. With a market that few of them are of, all of its reports are looked at.
    let large = agent(1);
    for (name, more) in filters(&large, trade) {
        all.push(Asked {
            name,
            arguments: format!("{}, 100{more}", reports / 4),
            reads_all: false,
            may_leave_out: reports / 50,
        });
    }
    // The answer is the whole table, or an epoch of it.
    for name in ["REACHED", "ALIASES"] {
        all.push(Asked {
            name,
            arguments: String::new(),
            reads_all: true,
            may_leave_out: u64::MAX,
        });
    }
    all
}

/// Each combination of filters: subject, reporter, market, trade.
fn filters(who: &str, trade: u64) -> Vec<(&'static str, String)> {
    const NAMES: [&str; 16] = [
        "REPORTS [false, false, false, false]",
        "REPORTS [true, false, false, false]",
        "REPORTS [false, true, false, false]",
        "REPORTS [true, true, false, false]",
        "REPORTS [false, false, true, false]",
        "REPORTS [true, false, true, false]",
        "REPORTS [false, true, true, false]",
        "REPORTS [true, true, true, false]",
        "REPORTS [false, false, false, true]",
        "REPORTS [true, false, false, true]",
        "REPORTS [false, true, false, true]",
        "REPORTS [true, true, false, true]",
        "REPORTS [false, false, true, true]",
        "REPORTS [true, false, true, true]",
        "REPORTS [false, true, true, true]",
        "REPORTS [true, true, true, true]",
    ];
    let parts = [
        format!(", {who}"),
        format!(", {}", agent(17)),
        ", 'market-41'".to_owned(),
        format!(", 'order-{trade}'"),
    ];
    let combined = |bits: usize| {
        let wanted = parts.iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1);
        wanted.map(|(_, part)| part.as_str()).collect()
    };
    NAMES
        .iter()
        .enumerate()
        .map(|(bits, name)| (*name, combined(bits)))
        .collect()
}
