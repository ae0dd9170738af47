//! `bench all` as a user runs it: the files of its report.

use std::fs;
use std::path::Path;

use serde_json::Value;

mod program;

use program::{Run, Workplace};

/// Names of the figures.
const FIGURES: [&str; 4] = [
    "memory_comparison",
    "model_size_benchmark",
    "throughput_benchmark",
    "training_memory_breakdown",
];

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Checks that `text` is an XML document, and that it loads nothing.
#[track_caller]
fn is_self_contained(text: &str) {
    let parsed = roxmltree::Document::parse(text);
    assert!(parsed.is_ok(), "{parsed:?}");
    for address in ["src=", "href=\"http", "url(", "@import", "<script", "<link"] {
        assert!(!text.contains(address), "{address}");
    }
}

/// Fields of a line of CSV, whose second field alone is quoted.
fn fields(line: &str) -> Vec<&str> {
    let mut parts = line.splitn(3, '"');
    let (before, name, after) =
        (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let (before, after) = (before.strip_suffix(',').unwrap(), after.strip_prefix(',').unwrap());
    before.split(',').chain([name]).chain(after.split(',')).collect()
}

#[test]
fn all_measurements_make_one_report() {
    let place = Workplace::new();
    let run = place.run("bench all --quick --rounds 1 --threads 2 --json --out new/report");
    // Rough times may exceed a limit; the report is written all the same.
    assert!([0, 5].contains(&run.code), "{run:#?}");
    let out = place.path("new/report");
    assert_eq!(read(&out, "results.json"), run.stdout);
    let kinds: Vec<Value> = run.events().iter().map(|event| event["event"].clone()).collect();
    let expected = ["layers", "autograd", "infer", "ablations", "memory", "budget"];
    assert_eq!(kinds, expected.map(|kind| Value::from(format!("bench_{kind}"))));
    if run.code == 5 {
        assert!(run.stderr.contains("limits are not met: new/report/BENCHMARK_REPORT.md"));
    }

    let rows = read(&out, "rows.csv");
    let mut lines = rows.lines();
    let heading = "suite,row,threads,unit,median,mad,min,allocations,bytes";
    assert_eq!(lines.next(), Some(heading));
    for line in lines {
        let fields = fields(line);
        assert_eq!(fields.len(), heading.split(',').count(), "{line}");
        assert!(expected.contains(&fields[0]) && fields[4].parse::<f64>().is_ok(), "{line}");
    }

    let reports = [read(&out, "BENCHMARK_REPORT.md"), read(&out, "MEMORY_REPORT.md")].concat();
    assert_eq!(reports.matches("<!-- BEGIN bench ").count(), 15);
    assert_eq!(reports.matches("<!-- END bench ").count(), 15);
    for figure in FIGURES {
        assert!(reports.contains(&format!("]({figure}.svg)")), "{figure}");
        is_self_contained(&read(&out, &format!("{figure}.svg")));
    }
    with_the_page(&out);
    with_a_trend(&place, &run.stdout);

    // What an earlier run wrote is replaced; what another program wrote is not.
    let names = fs::read_dir(&out).unwrap().count();
    for entry in fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        let ours = fs::read(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let refused = place.run("bench all --quick --out new/report");
        refused.fails(3, &[name, "is not the report of an earlier run, and is not replaced"]);
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::write(&path, ours).unwrap();
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), names);
}

/// Checks that `page` is one HTML page that loads nothing.
#[cfg(feature = "plots")]
#[track_caller]
fn is_a_page(page: &str) {
    let text = page.split_once("<html").unwrap().1.replace("&copy;", "");
    // The elements of the head that need no end are the only ones in the page.
    let text = text.replace("<meta charset=\"utf-8\">", "");
    let metas = text.lines().filter(|line| !line.starts_with("<meta "));
    let text: String = metas.map(|line| line.replace("<br>", "<br/>") + "\n").collect();
    is_self_contained(&format!("<html{text}"));
}

#[cfg(feature = "plots")]
fn with_the_page(out: &Path) {
    let page = read(out, "index.html");
    is_a_page(&page);
    for part in ["prefers-color-scheme: dark", "@media print", "<svg class=\"plot\""] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("<svg class=\"plot\"").count(), 3 + 2 + 2 + 2);
    for (figure, panels) in FIGURES.into_iter().zip([2, 2, 3, 2]) {
        let png = fs::read(out.join(format!("{figure}.png"))).unwrap();
        assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        // 420 x 320 pixels of CSS a panel, at 300 instead of 96 pixels an inch.
        assert_eq!(
            [number(16), number(20)],
            [panels * 420 * 300_u32, 320 * 300].map(|n| n.div_ceil(96))
        );
        assert_eq!(png[33..41], *b"\0\0\0\x09pHYs", "after the first chunk");
        assert_eq!((number(41), number(45), png[49]), (11_811, 11_811, 1), "pixels of a metre");
    }
}

/// Makes the page of a trend of `results` and of two records with other values.
#[cfg(feature = "plots")]
fn with_a_trend(place: &Workplace, results: &str) {
    let mut later: Vec<Value> =
        results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut other = later.clone();
    for event in &mut later {
        let seconds = event["environment"]["unix_seconds"].as_u64().unwrap();
        event["environment"]["unix_seconds"] = (seconds + 86_400).into();
    }
    let bytes = &mut later[4]["rows"][0]["training"]["live_bytes"];
    *bytes = (2 * bytes.as_u64().unwrap()).into();
    other[0]["environment"]["cpu"] = "another".into();
    for (name, events) in [("later", later), ("other", other)] {
        fs::create_dir(place.path(name)).unwrap();
        let lines = events.iter().map(|event| format!("{event}\n"));
        fs::write(place.path(name).join("results.json"), lines.collect::<String>()).unwrap();
    }

    let report = |arguments: &str| Run::of(place.bare(&format!("report trend {arguments}")));
    // The first record says which machine it is, wherever it is in time.
    let run = report("later other new/report/results.json --out new/trend.html").succeeds();
    assert!(run.stderr.contains("note: left out other: the CPU is 'another' there"), "{run:#?}");
    assert!(run.stdout.starts_with("wrote new/trend.html: 2 records, "), "{run:#?}");
    assert!(run.stdout.ends_with(" rows, 1 step\n"), "{run:#?}");
    let page = read(&place.path("new"), "trend.html");
    is_a_page(&page);
    assert!(page.contains("<li>batch 1, training, live: 2.00× larger in record 2 ("));
    assert!(page.contains("Left out other: the CPU is"));
    for part in ["prefers-color-scheme: dark", "@media print"] {
        assert!(page.contains(part), "{part}");
    }
    let rows = run.stdout.split(' ').nth(4).unwrap();
    assert_eq!(page.matches("<svg class=\"plot\"").count().to_string(), rows);
    assert_eq!(report("later new/report --out new/trend.html").succeeds().stdout, run.stdout);

    let one = report("new/report other");
    one.fails(3, &["a trend needs two records of one machine", "only new/report", "'another'"]);
    report("new/report nowhere").fails(1, &["nowhere: cannot open: no such file"]);
    report("new/report new/trend.html").fails(3, &["trend.html: is no result of 'bench all'"]);
    fs::write(place.path("mine.html"), "precious").unwrap();
    let refused = report("later new/report --out mine.html");
    refused.fails(3, &["mine.html: is not the page of an earlier run"]);
    report("").rejects_flags(&["<FOLDER>..."]);
    assert!(!place.path("trend.html").exists());
}

#[cfg(not(feature = "plots"))]
fn with_a_trend(place: &Workplace, _: &str) {
    let run = Run::of(place.bare("report trend new/report"));
    run.rejects_flags(&["built without pages", "--features plots"]);
}

#[cfg(not(feature = "plots"))]
fn with_the_page(out: &Path) {
    assert!(!out.join("index.html").exists());
}
