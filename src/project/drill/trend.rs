//! Whether a backup that is valid is also believable: its tables and their rows beside those of earlier
//! backups. It only compares numbers, and never alarms for what ordinary work does: what has shrunk before,
//! what a migration may have done, and tables that the project leaves out are no reason.

use super::Alarm;
use crate::store::BackupId;
use glob::Pattern;
use std::collections::{BTreeMap, BTreeSet};

/// Days from which on a trend is known.
const DAYS: usize = 3;
/// So few rows say nothing, where a trend is known.
const FEW: u64 = 10;
/// The same where it is not known.
const FEW_WITHOUT_TREND: u64 = 1_000;
/// A database that never had fewer rows than this and has none is empty, where no trend is known.
const EMPTIED: u64 = 20;

/// The tables of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// The backup.
    pub(super) id: Option<BackupId>,
    /// The day on which it was taken.
    pub(super) day: String,
    /// By database, or by pattern the databases together.
    pub(super) groups: BTreeMap<String, Group>,
}

/// A database, or those of a pattern together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// How many there are.
    pub(super) databases: usize,
    /// How far their histories are.
    pub(super) positions: BTreeSet<Option<String>>,
    /// Rows by table.
    pub(super) tables: BTreeMap<String, u64>,
}

impl Group {
    fn rows(&self) -> u64 {
        self.tables.values().fold(0, |sum, rows| sum.saturating_add(*rows))
    }
}

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) alarms: Vec<Alarm>,
    pub(super) notes: Vec<String>,
}

/// What the project says about its databases.
#[derive(Debug, Default)]
pub(super) struct Rules<'a> {
    /// Databases and tables whose numbers say nothing.
    pub(super) ignored: &'a [Pattern],
    /// The databases that the configuration names. Others may come and go, as a log for each day does.
    pub(super) named: BTreeSet<String>,
}

impl Rules<'_> {
    fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|pattern| pattern.matches(name))
    }
}

/// Judges a backup by earlier ones. `base` is the one that it is compared with, `earlier` are those that
/// show how far down the numbers go by themselves.
pub(super) fn judge(
    now: &Sample,
    base: &Sample,
    earlier: &[Sample],
    rules: &Rules<'_>,
) -> Judgement {
    let mut found = Judgement::default();
    let days: BTreeSet<&str> = earlier.iter().map(|it| it.day.as_str()).collect();
    for (name, before) in base.groups.iter().filter(|(name, _)| !rules.ignores(name)) {
        let Some(group) = now.groups.get(name) else {
            let message = format!("`{name}` is gone; it had {}", rows(before.rows()));
            let always = earlier.iter().all(|sample| sample.groups.contains_key(name));
            match rules.named.contains(name) || (always && days.len() >= DAYS) {
                true => found.alarms.push(Alarm::new("database-gone", message)),
                false => found.notes.push(message),
            }
            continue;
        };
        Judge { name, group, before, earlier, rules, days: days.len() }.run(&mut found);
    }
    found
}

struct Judge<'a> {
    name: &'a str,
    group: &'a Group,
    before: &'a Group,
    earlier: &'a [Sample],
    rules: &'a Rules<'a>,
    days: usize,
}

impl Judge<'_> {
    fn run(&self, found: &mut Judgement) {
        let (name, group, before) = (self.name, self.group, self.before);
        if before.databases >= 4 && group.databases * 2 < before.databases {
            let message = format!("`{name}`: {} → {} databases", before.databases, group.databases);
            found.alarms.push(Alarm::new("databases-gone", message));
        }
        let is_there = |table: &&String| group.tables.contains_key(*table);
        if !before.tables.is_empty() && !before.tables.keys().any(|table| is_there(&table)) {
            let message = format!(
                "`{name}` is another database: none of its tables is there ({})",
                first(before.tables.keys())
            );
            found.alarms.push(Alarm::new("another-database", message));
            return;
        }
        if self.is_emptied() {
            let message = format!("`{name}` is empty; it had {}", rows(before.rows()));
            self.say(found, Alarm::new("empty", message));
            return;
        }
        for (table, then) in &before.tables {
            if self.rules.ignores(table) {
                continue;
            }
            match group.tables.get(table) {
                None => {
                    let message =
                        format!("`{name}`: the table `{table}` is gone; it had {}", rows(*then));
                    // One that comes and goes, or had nothing in it, is no loss.
                    match *then > 0 && self.is_in_all(table) {
                        true => self.say(found, Alarm::new("table-gone", message)),
                        false => found.notes.push(message),
                    }
                }
                Some(rows) if self.has_fallen(table, *rows) => {
                    let how = if *rows == 0 { "emptied" } else { "halved" };
                    let message = format!(
                        "`{name}`: {table}: {} → {}, {how}",
                        grouped(*then),
                        grouped(*rows)
                    );
                    self.say(found, Alarm::new("halved", message));
                }
                Some(_) => {}
            }
        }
    }

    /// What a migration may have done is said, and no alarm.
    fn say(&self, found: &mut Judgement, alarm: Alarm) {
        match self.group.positions == self.before.positions {
            true => found.alarms.push(alarm),
            false => found.notes.push(format!(
                "{}; migrations ran since the backup that it is compared with",
                alarm.message
            )),
        }
    }

    /// The fewest that any earlier backup has of something.
    fn fewest(&self, of: impl Fn(&Group) -> Option<u64>) -> Option<u64> {
        self.earlier.iter().filter_map(|sample| of(sample.groups.get(self.name)?)).min()
    }

    fn is_emptied(&self) -> bool {
        let fewest = self.fewest(|group| Some(group.rows())).unwrap_or(0);
        let least = if self.days >= DAYS { 1 } else { EMPTIED };
        self.group.rows() == 0 && fewest >= least
    }

    /// Whether each earlier backup of this database has the table.
    fn is_in_all(&self, table: &str) -> bool {
        let mut groups = self.earlier.iter().filter_map(|sample| sample.groups.get(self.name));
        groups.all(|group| group.tables.contains_key(table))
    }

    /// Whether a table has at most half of the fewest rows that it ever had.
    fn has_fallen(&self, table: &str, rows: u64) -> bool {
        let fewest = self.fewest(|group| group.tables.get(table).copied()).unwrap_or(0);
        let few = if self.days >= DAYS { FEW } else { FEW_WITHOUT_TREND };
        fewest >= few && rows.saturating_mul(2) <= fewest
    }
}

fn rows(count: u64) -> String {
    if count == 1 { "1 row".into() } else { format!("{} rows", grouped(count)) }
}

/// A number with commas: `4,012`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn first<'a>(names: impl Iterator<Item = &'a String>) -> String {
    const SHOWN: usize = 3;
    let names: Vec<&String> = names.collect();
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        text.push("…".into());
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Group, Judgement, Pattern, Rules, Sample, grouped, judge};

    type Tables<'a> = &'a [(&'a str, u64)];

    fn group(position: &str, tables: Tables<'_>) -> Group {
        Group {
            databases: 1,
            positions: [Some(position.to_string())].into(),
            tables: tables.iter().map(|(name, rows)| ((*name).into(), *rows)).collect(),
        }
    }

    fn sample(day: usize, groups: &[(&str, Group)]) -> Sample {
        let groups = groups.iter().map(|(name, group)| ((*name).into(), group.clone())).collect();
        Sample { id: None, day: day.to_string(), groups }
    }

    fn app(day: usize, tables: &[(&str, u64)]) -> Sample {
        sample(day, &[("app.db", group("7", tables))])
    }

    fn judged(now: &Sample, earlier: &[Sample]) -> Judgement {
        let ignored = [Pattern::new("sessions*").unwrap()];
        let rules = Rules { ignored: &ignored, named: ["app.db".to_string()].into() };
        judge(now, &earlier[0], earlier, &rules)
    }

    fn codes(now: &Sample, earlier: &[Sample]) -> Vec<&'static str> {
        judged(now, earlier).alarms.iter().map(|alarm| alarm.code).collect()
    }

    fn week(tables: &[(&str, u64)]) -> Vec<Sample> {
        (0..7).map(|day| app(day, tables)).collect()
    }

    #[test]
    fn what_ordinary_work_does_is_no_alarm() {
        let none: [&str; 0] = [];
        let shop = [("orders", 4_012), ("queue", 50), ("settings", 3), ("sessions", 900)];
        let mut with_queue = week(&shop);
        with_queue[4].groups.get_mut("app.db").unwrap().tables.insert("queue".into(), 0);
        let cases: [(Tables<'_>, &[Sample]); 7] = [
            (&shop, &week(&shop)),
            (&[("orders", 4_300), ("queue", 50), ("settings", 3), ("sessions", 900)], &week(&shop)),
            (&[("orders", 3_000), ("queue", 30), ("settings", 2), ("sessions", 0)], &week(&shop)),
            (&[("orders", 4_012), ("queue", 0), ("settings", 1), ("sessions", 9)], &with_queue),
            // Two backups tell no trend.
            (
                &[("orders", 4_012), ("queue", 0), ("settings", 3), ("sessions", 0)],
                &week(&shop)[..2],
            ),
            (
                &[("orders", 4_012), ("queue", 50), ("settings", 3), ("sessions", 9), ("new", 0)],
                &week(&shop),
            ),
            (&[("orders", 0)], &[app(0, &[("orders", 5)])]),
        ];
        for (tables, earlier) in cases {
            assert_eq!(codes(&app(9, tables), earlier), none, "{tables:?}");
        }
        // A purge that happens every month.
        let saw: Vec<Sample> =
            (0..40).map(|day| app(day, &[("log", 100 + day as u64 % 30 * 100)])).collect();
        assert_eq!(codes(&app(41, &[("log", 100)]), &saw), none);
        // A migration that drops a table and archives rows.
        let now = sample(9, &[("app.db", group("8", &[("orders", 100)]))]);
        let judgement = judged(&now, &week(&[("orders", 4_012), ("old", 10)]));
        assert!(judgement.alarms.is_empty());
        assert_eq!(judgement.notes.len(), 2, "{:?}", judgement.notes);
        // A table for one import, and a log for each day.
        let mut import = week(&shop);
        import[0].groups.get_mut("app.db").unwrap().tables.insert("import_7".into(), 900);
        import[0].groups.insert("log-07.db".into(), group("7", &[("lines", 9_000)]));
        let judgement = judged(&app(9, &shop), &import);
        assert!(judgement.alarms.is_empty(), "{judgement:?}");
        assert_eq!(judgement.notes.len(), 2);
        // Tenants come and go.
        let tenants = |databases, rows| {
            let mut group = group("7", &[("orders", rows)]);
            group.databases = databases;
            [("tenants/*.db", group)]
        };
        let before: Vec<Sample> = (0..5).map(|day| sample(day, &tenants(20, 900))).collect();
        assert_eq!(codes(&sample(9, &tenants(15, 700)), &before), none);
    }

    #[test]
    fn a_zoo_of_valid_and_bad_backups_is_alarmed() {
        let shop = [("orders", 4_012), ("customers", 120), ("settings", 3)];
        let earlier = week(&shop);
        let one = &earlier[..1];
        let cases: [(Sample, &[Sample], &[&str]); 10] = [
            (
                app(9, &[("orders", 2_003), ("customers", 120), ("settings", 3)]),
                &earlier,
                &["halved"],
            ),
            (app(9, &[("orders", 2_003), ("customers", 120), ("settings", 3)]), one, &["halved"]),
            (
                app(9, &[("orders", 4_012), ("customers", 0), ("settings", 3)]),
                &earlier,
                &["halved"],
            ),
            (app(9, &[("orders", 4_012), ("settings", 3)]), &earlier, &["table-gone"]),
            (app(9, &[("orders", 4_012), ("settings", 3)]), one, &["table-gone"]),
            (app(9, &[("orders", 0), ("customers", 0), ("settings", 0)]), &earlier, &["empty"]),
            (app(9, &[("orders", 0), ("customers", 0), ("settings", 0)]), one, &["empty"]),
            (app(9, &[("posts", 9), ("authors", 9)]), &earlier, &["another-database"]),
            (app(9, &[]), one, &["another-database"]),
            (sample(9, &[("other.db", group("7", &shop))]), one, &["database-gone"]),
        ];
        for (now, earlier, wanted) in cases {
            assert_eq!(codes(&now, earlier), wanted, "{now:?}");
        }
        // Even after a migration.
        let now = sample(9, &[("app.db", group("8", &[("posts", 9)]))]);
        assert_eq!(codes(&now, &earlier), ["another-database"]);
        let text =
            &judged(&app(9, &[("orders", 2_003), ("customers", 120), ("settings", 3)]), &earlier);
        assert_eq!(text.alarms[0].message, "`app.db`: orders: 4,012 → 2,003, halved");
        let tenants = |databases| {
            let mut group = group("7", &[("orders", 9)]);
            group.databases = databases;
            [("tenants/*.db", group)]
        };
        assert_eq!(codes(&sample(9, &tenants(9)), &[sample(1, &tenants(20))]), ["databases-gone"]);
    }

    #[test]
    fn numbers_are_read_easily() {
        for (number, text) in [(0, "0"), (999, "999"), (4_012, "4,012"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
