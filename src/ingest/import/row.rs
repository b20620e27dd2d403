//! One row of an import file: strict reading, every fault with its line and column.

use std::{
    fmt::Display,
    fs::File,
    io::{BufRead as _, BufReader, Read},
    path::Path,
    str::FromStr,
};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use goodstanding_verify::{
    amount::Amount,
    code::excerpt,
    report::{AuctionFormat, Role, Status, TaskClass, TradeKind},
};

use crate::code::{Code, Fault};

/// The columns, all of them required in the header.
pub const COLUMNS: [&str; 23] = [
    "time",
    "trade_id",
    "market",
    "kind",
    "reporter",
    "subject",
    "role",
    "amount",
    "currency",
    "units",
    "resource",
    "status",
    "quality_bp",
    "on_time",
    "claimed_quality_bp",
    "swap_id",
    "auction_id",
    "auction_format",
    "reserve",
    "task_class",
    "utilisation_bp",
    "bids",
    "level",
];

/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The end of the year 9999: beyond it somebody wrote milliseconds.
const LAST_TIME: u64 = 253_402_300_799;
/// Longest alias, characters.
const MAX_ALIAS: usize = 128;
/// Most losing bids of one auction.
const MAX_BIDS: usize = 64;

/// One party's account of one trade, parties by alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Line in the file, from 1; 0 for rows that come from elsewhere.
    pub line: u64,
    /// When the trade ended, Unix seconds.
    pub time: u64,
    /// The market's id of the trade.
    pub trade_id: String,
    /// The market.
    pub market: String,
    /// Kind of trade.
    pub kind: TradeKind,
    /// Alias of the party that reports.
    pub reporter: String,
    /// Alias of the party that it reports on.
    pub subject: String,
    /// The reporter's role.
    pub role: Role,
    /// Price, as written.
    pub amount: String,
    /// Currency of the price.
    pub currency: String,
    /// How many units, as written.
    pub units: Option<String>,
    /// What was traded.
    pub resource: Option<String>,
    /// How it ended.
    pub status: Status,
    /// Rating of what the counterparty did.
    pub quality_bp: Option<u16>,
    /// Whether the counterparty was on time.
    pub on_time: Option<bool>,
    /// The quality that a seller says it delivered.
    pub claimed_quality_bp: Option<u16>,
    /// Shared by the two trades of a barter.
    pub swap_id: Option<String>,
    /// The auction that found the price.
    pub auction: Option<Auction>,
    /// The subject signed terms beforehand.
    pub countersigned: bool,
}

/// The auction columns of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auction {
    /// Auction id.
    pub id: String,
    /// Whether the highest or the lowest bid wins.
    pub format: AuctionFormat,
    /// Reserve price, as written.
    pub reserve: Option<String>,
    /// Urgency of the task.
    pub task_class: Option<TaskClass>,
    /// Utilisation of the seller's capacity.
    pub utilisation_bp: Option<u16>,
    /// Losing bids: alias and amount as written.
    pub bids: Vec<(String, String)>,
}

impl Row {
    /// The cells in the order of [`COLUMNS`], in one fixed spelling: the same row is the same text.
    pub fn cells(&self) -> [String; COLUMNS.len()] {
        fn text<T: Display>(value: Option<T>) -> String {
            value.map(|v| v.to_string()).unwrap_or_default()
        }
        let auction = self.auction.as_ref();
        let bids = auction.map(|a| {
            a.bids
                .iter()
                .map(|(who, amount)| format!("{who}:{amount}"))
                .collect::<Vec<_>>()
                .join("|")
        });
        [
            self.time.to_string(),
            self.trade_id.clone(),
            self.market.clone(),
            self.kind.to_string(),
            self.reporter.clone(),
            self.subject.clone(),
            self.role.to_string(),
            self.amount.clone(),
            self.currency.clone(),
            text(self.units.as_ref()),
            text(self.resource.as_ref()),
            self.status.to_string(),
            text(self.quality_bp),
            text(self.on_time),
            text(self.claimed_quality_bp),
            text(self.swap_id.as_ref()),
            text(auction.map(|a| &a.id)),
            text(auction.map(|a| a.format)),
            text(auction.and_then(|a| a.reserve.as_ref())),
            text(auction.and_then(|a| a.task_class)),
            text(auction.and_then(|a| a.utilisation_bp)),
            text(bids),
            if self.countersigned {
                "countersigned"
            } else {
                ""
            }
            .to_owned(),
        ]
    }

    /// Every alias that the row names, with repetitions.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        let bidders = self
            .auction
            .iter()
            .flat_map(|a| a.bids.iter().map(|(who, _)| who.as_str()));
        [self.reporter.as_str(), self.subject.as_str()]
            .into_iter()
            .chain(bidders)
    }
}

/// The rows of an import file, in order.
pub struct Rows {
    reader: csv::Reader<Box<dyn Read + Send>>,
    record: StringRecord,
    /// Where each of [`COLUMNS`] stands in the file.
    places: [usize; COLUMNS.len()],
    last_time: u64,
    ended: bool,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rows")
    }
}

impl Rows {
    /// Opens a CSV file, compressed with gzip or not: its first bytes say which.
    ///
    /// # Errors
    /// `input.unreadable`; `import.invalid` when the header does not have exactly the columns.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let unreadable = |e: std::io::Error| {
            Fault::new(Code::InputUnreadable, format!("{}: {e}", path.display()))
        };
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(unreadable)?);
        let gzip = file.fill_buf().map_err(unreadable)?.starts_with(&GZIP);
        let plain: Box<dyn Read + Send> = if gzip {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        Self::read(plain)
    }

    /// Reads plain CSV text.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(text: Box<dyn Read + Send>) -> Result<Self, Fault> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(true)
            .flexible(false)
            .from_reader(text);
        let header = reader.headers().map_err(|e| csv_fault(&e))?;
        let bad = |why: String| Fault::new(Code::ImportInvalid, format!("line 1: {why}"));
        if let Some(unknown) = header.iter().find(|name| !COLUMNS.contains(name)) {
            return Err(bad(format!(
                "unknown column {:?}; the columns are {}",
                excerpt(unknown),
                COLUMNS.join(",")
            )));
        }
        let mut places = [0; COLUMNS.len()];
        for (place, name) in places.iter_mut().zip(COLUMNS) {
            let mut found = header
                .iter()
                .enumerate()
                .filter(|(_, have)| *have == name)
                .map(|(at, _)| at);
            *place = found
                .next()
                .ok_or_else(|| bad(format!("column {name} is missing")))?;
            if found.next().is_some() {
                return Err(bad(format!("column {name} is there twice")));
            }
        }
        Ok(Self {
            reader,
            record: StringRecord::new(),
            places,
            last_time: 0,
            ended: false,
        })
    }

    fn next_row(&mut self) -> Result<Option<Row>, Fault> {
        if !self
            .reader
            .read_record(&mut self.record)
            .map_err(|e| csv_fault(&e))?
        {
            return Ok(None);
        }
        let line = self.record.position().map_or(0, csv::Position::line);
        let row = Cells {
            record: &self.record,
            places: &self.places,
            line,
        }
        .row()?;
        if row.time < self.last_time {
            let detail = format!(
                "line {line}, column time: {} comes after {}",
                row.time, self.last_time
            );
            return Err(Fault::new(Code::ImportOrder, detail));
        }
        self.last_time = row.time;
        Ok(Some(row))
    }
}

impl Iterator for Rows {
    type Item = Result<Row, Fault>;

    /// Nothing follows a fault.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_row().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

fn csv_fault(error: &csv::Error) -> Fault {
    let at = error
        .position()
        .map_or_else(String::new, |p| format!("line {}: ", p.line()));
    match error.kind() {
        csv::ErrorKind::Io(e) => Fault::new(Code::InputUnreadable, e.to_string()),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Fault::new(
            Code::ImportInvalid,
            format!("{at}{len} columns, the header has {expected_len}"),
        ),
        csv::ErrorKind::Utf8 { err, .. } => {
            let column = COLUMNS.get(err.field()).copied().unwrap_or("?");
            Fault::new(
                Code::ImportInvalid,
                format!("{at}column {column}: not UTF-8"),
            )
        }
        _ => Fault::new(Code::ImportInvalid, format!("{at}{error}")),
    }
}

/// The cells of one record, by column name.
struct Cells<'a> {
    record: &'a StringRecord,
    places: &'a [usize; COLUMNS.len()],
    line: u64,
}

impl<'a> Cells<'a> {
    fn invalid(&self, column: &str, why: impl Display) -> Fault {
        Fault::new(
            Code::ImportInvalid,
            format!("line {}, column {column}: {why}", self.line),
        )
    }

    /// The cell; `None` when it is empty.
    fn cell(&self, column: &str) -> Option<&'a str> {
        let at = COLUMNS
            .iter()
            .position(|name| *name == column)
            .and_then(|i| self.places.get(i))?;
        self.record.get(*at).filter(|cell| !cell.is_empty())
    }

    fn needed(&self, column: &str) -> Result<&'a str, Fault> {
        self.cell(column)
            .ok_or_else(|| self.invalid(column, "empty"))
    }

    /// A cell that is there reads as `T`, or it is a fault.
    fn read<T>(
        &self,
        column: &str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        let Some(cell) = self.cell(column) else {
            return Ok(None);
        };
        read(cell)
            .map(Some)
            .ok_or_else(|| self.invalid(column, format!("{:?} is not {what}", excerpt(cell))))
    }

    fn must<T>(
        &self,
        column: &str,
        what: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Fault> {
        self.read(column, what, read)?
            .ok_or_else(|| self.invalid(column, "empty"))
    }

    fn text(&self, column: &str, longest: usize) -> Result<Option<String>, Fault> {
        let what = format!("1 to {longest} characters without control characters");
        self.read(column, &what, |cell| {
            (cell.chars().count() <= longest && !cell.chars().any(char::is_control))
                .then(|| cell.to_owned())
        })
    }

    fn amount(&self, column: &str) -> Result<Option<String>, Fault> {
        self.read(column, "an amount", |cell| {
            Amount::parse(cell).is_ok().then(|| cell.to_owned())
        })
    }

    fn bp(&self, column: &str) -> Result<Option<u16>, Fault> {
        self.read(column, "a whole number from 0 to 10000", |cell| {
            digits::<u16>(cell).filter(|bp| *bp <= 10_000)
        })
    }

    fn alias(&self, column: &str) -> Result<String, Fault> {
        self.must(
            column,
            "an alias: 1 to 128 characters, not a did:key",
            |cell| is_alias(cell).then(|| cell.to_owned()),
        )
    }

    fn row(&self) -> Result<Row, Fault> {
        let (reporter, subject) = (self.alias("reporter")?, self.alias("subject")?);
        if reporter == subject {
            return Err(self.invalid("subject", "the same as reporter"));
        }
        let level = self.cell("level").unwrap_or_default();
        if !matches!(level, "" | "countersigned") {
            return Err(self.invalid(
                "level",
                format!("{:?} is neither empty nor countersigned", excerpt(level)),
            ));
        }
        self.needed("market")?;
        self.needed("trade_id")?;
        Ok(Row {
            line: self.line,
            time: self.must("time", "Unix seconds", |c| {
                digits(c).filter(|t| *t <= LAST_TIME)
            })?,
            trade_id: self.text("trade_id", 128)?.unwrap_or_default(),
            market: self.text("market", 256)?.unwrap_or_default(),
            kind: self.must("kind", &words(TradeKind::ALL), TradeKind::parse)?,
            reporter,
            subject,
            role: self.must("role", &words(Role::ALL), Role::parse)?,
            amount: self
                .amount("amount")?
                .ok_or_else(|| self.invalid("amount", "empty"))?,
            currency: self.needed("currency")?.to_owned(),
            units: self.amount("units")?,
            resource: self.text("resource", 512)?,
            status: self.must("status", &words(Status::ALL), Status::parse)?,
            quality_bp: self.bp("quality_bp")?,
            on_time: self.read("on_time", "true or false", |c| bool::from_str(c).ok())?,
            claimed_quality_bp: self.bp("claimed_quality_bp")?,
            swap_id: self.text("swap_id", 128)?,
            auction: self.auction()?,
            countersigned: level == "countersigned",
        })
    }

    fn auction(&self) -> Result<Option<Auction>, Fault> {
        let Some(id) = self.text("auction_id", 128)? else {
            let others = [
                "auction_format",
                "reserve",
                "task_class",
                "utilisation_bp",
                "bids",
            ];
            return match others.iter().find(|column| self.cell(column).is_some()) {
                None => Ok(None),
                Some(column) => Err(self.invalid(column, "given without auction_id")),
            };
        };
        Ok(Some(Auction {
            id,
            format: self.must(
                "auction_format",
                &words(AuctionFormat::ALL),
                AuctionFormat::parse,
            )?,
            reserve: self.amount("reserve")?,
            task_class: self.read("task_class", &words(TaskClass::ALL), TaskClass::parse)?,
            utilisation_bp: self.bp("utilisation_bp")?,
            bids: self
                .read("bids", "alias:amount|alias:amount, at most 64", bids)?
                .unwrap_or_default(),
        }))
    }
}

/// Digits only: no sign, no space, no underscore.
fn digits<T: FromStr>(cell: &str) -> Option<T> {
    cell.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| cell.parse().ok())
        .flatten()
}

/// A name that is not mistaken for a DID: the importer has to have its key.
pub fn is_alias(cell: &str) -> bool {
    (1..=MAX_ALIAS).contains(&cell.chars().count())
        && !cell.starts_with("did:key:")
        && cell.trim() == cell
        && !cell.chars().any(char::is_control)
}

fn bids(cell: &str) -> Option<Vec<(String, String)>> {
    let bid = |text: &str| {
        let (who, amount) = text.rsplit_once(':')?;
        (is_alias(who) && Amount::parse(amount).is_ok())
            .then(|| (who.to_owned(), amount.to_owned()))
    };
    let bids = cell.split('|').map(bid).collect::<Option<Vec<_>>>()?;
    (bids.len() <= MAX_BIDS).then_some(bids)
}

fn words<T: Display>(all: &[T]) -> String {
    let names: Vec<_> = all.iter().map(T::to_string).collect();
    format!("one of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "1767270671,t1,query-a,purchase,alice,bob,buyer,0.016355,USDC,143,,fulfilled,9000,true,,,,,,,,,";

    fn read(lines: &[&str]) -> Vec<Result<Row, Fault>> {
        let text = format!("{}\n{}\n", COLUMNS.join(","), lines.join("\n"));
        Rows::read(Box::new(std::io::Cursor::new(text)))
            .unwrap()
            .collect()
    }

    fn fault(line: &str) -> String {
        let fault = read(&[line]).remove(0).unwrap_err();
        assert!(fault.is(Code::ImportInvalid), "{fault}");
        fault.detail().to_owned()
    }

    #[test]
    fn a_row_reads_and_is_written_the_same() {
        let auction = "1767270671,t2,gpu,compute_auction,a,b,buyer,2,CREDIT,,gpu-hour,partial,4000,false,,,au1,forward,0.5,urgent,9000,c:1.5|d:1,countersigned";
        let rows: Vec<_> = read(&[GOOD, auction])
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows[0].cells().join(","), GOOD);
        assert_eq!(rows[1].cells().join(","), auction);
        assert_eq!(rows[1].line, 3);
        assert_eq!(rows[1].aliases().collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }

    #[test]
    fn every_fault_names_line_and_column() {
        for (from, to, column) in [
            ("1767270671", "yesterday", "time"),
            ("1767270671", "-5", "time"),
            ("1767270671", "1767270671000", "time"),
            ("t1", "", "trade_id"),
            ("query-a", "", "market"),
            ("purchase", "gift", "kind"),
            ("alice", "did:key:z6Mk", "reporter"),
            ("bob", "alice", "subject"),
            ("buyer", "Buyer", "role"),
            ("0.016355", "1e3", "amount"),
            ("0.016355", "", "amount"),
            ("USDC", "", "currency"),
            ("143", "many", "units"),
            ("fulfilled", "ok", "status"),
            ("9000", "10001", "quality_bp"),
            ("true", "yes", "on_time"),
        ] {
            let detail = fault(&GOOD.replacen(from, to, 1));
            assert!(
                detail.starts_with(&format!("line 2, column {column}: ")),
                "{detail}"
            );
        }
        assert!(
            fault(&GOOD.replace(",,,,,,,,,", ",,,,,,,,c:1,"))
                .contains("column bids: given without auction_id")
        );
        assert!(fault(&GOOD.replace(",,,,,,,,,", ",,,,,,,,,proven")).contains("column level"));
        assert!(
            fault(&GOOD.replace(",,,,,,,,,", ",,,au1,dutch,,,,,"))
                .contains("column auction_format")
        );
        assert!(
            fault(&GOOD.replace(",,,,,,,,,", ",,,au1,forward,,,,c=1,")).contains("column bids")
        );
        assert!(fault("1,2,3").contains("line 2: 3 columns"));
    }

    #[test]
    fn rows_must_ascend_and_nothing_follows_a_fault() {
        let earlier = GOOD.replace("1767270671", "1767270670");
        let rows = read(&[GOOD, &earlier, GOOD]);
        assert_eq!(rows.len(), 2);
        assert!(rows[1].as_ref().unwrap_err().is(Code::ImportOrder));
    }

    #[test]
    fn the_header_must_have_exactly_the_columns() {
        for header in [
            COLUMNS.join(",").replace("market", "venue"),
            COLUMNS[1..].join(","),
            format!("time,{}", COLUMNS.join(",")),
        ] {
            let fault = Rows::read(Box::new(std::io::Cursor::new(header))).unwrap_err();
            assert!(fault.is(Code::ImportInvalid), "{fault}");
        }
    }
}
