//! This test runs the README's examples unchanged and compares the responses with those shown.

use std::process::Command;

use serde_json::Value;
use tests::Service;

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_readme_and_the_guide_run_as_they_stand_and_answer_what_is_shown() {
    let readme = include_str!("../../../../README.md");
    let guide = include_str!("../../../../docs/guide.md");
    let (_, examples) = readme.split_once("## Buy and be refused").unwrap();
    let (examples, _) = examples.split_once("\n## ").unwrap();
    let pages = [examples, guide];
    let commands = pages.map(|page| blocks(page, &["sh"]));
    let answers = pages.map(|page| blocks(page, &["json", "csv"]));
    // All but the login, which is the first, show their answer.
    assert_eq!(commands[0].len(), 3, "log in, buy, be refused");
    assert_eq!(answers[0].len(), 2);
    assert!(commands[1].len() > 10, "{}", commands[1].len());
    assert_eq!(answers[1].len(), commands[1].len());
    let (commands, answers) = (commands.concat(), answers.concat());

    let service = Service::start().await;
    let script = commands
        .join(&format!("\necho\necho '{BETWEEN}'\n"))
        .replace("http://127.0.0.1:8080", &service.base);
    let output =
        tokio::task::spawn_blocking(move || Command::new("sh").args(["-euc", &script]).output())
            .await
            .unwrap()
            .unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let printed = printed.split(BETWEEN).map(str::trim);
    let printed: Vec<&str> = printed.filter(|answer| !answer.is_empty()).collect();
    assert_eq!(printed.len(), answers.len(), "{printed:?}");
    for (printed, shown) in printed.iter().zip(answers) {
        assert_eq!(normal(printed), normal(&shown), "{printed}");
    }
}

/// What stands between the responses of two commands.
const BETWEEN: &str = "- - - next - - -";

/// The code blocks in these languages, in order.
fn blocks(markdown: &str, languages: &[&str]) -> Vec<String> {
    let fenced = markdown.split("```").skip(1).step_by(2);
    let fenced = fenced.filter_map(|block| block.split_once('\n'));
    let blocks = fenced.filter(|(language, _)| languages.contains(language));
    blocks.map(|(_, text)| text.trim().to_owned()).collect()
}

/// A response with its times, days and generated ids blanked, since they differ from run to run. A response that is no
/// JSON is CSV: its rows.
fn normal(answer: &str) -> Value {
    let mut answer: Value = serde_json::from_str(answer).unwrap_or_else(|_no_json| {
        let rows = answer.lines().map(|row| row.split(',').map(Value::from));
        rows.map(|cells| cells.collect::<Value>()).collect()
    });
    blank(&mut answer);
    answer
}

fn blank(value: &mut Value) {
    match value {
        Value::String(text) => {
            let is_time = chrono::DateTime::parse_from_rfc3339(text).is_ok()
                || text.parse::<chrono::NaiveDate>().is_ok();
            let is_new_id = text
                .parse::<uuid::Uuid>()
                .is_ok_and(|id| id.get_version_num() == 7);
            // The client secret contains the order's id.
            let is_new_secret = text.starts_with("pi_offline_");
            // An order's number is made of its id: three groups of four signs.
            let groups: Vec<&str> = text.split('-').collect();
            let is_sign = |sign: char| sign.is_ascii_digit() || sign.is_ascii_uppercase();
            let is_group = |group: &&str| group.len() == 4 && group.chars().all(is_sign);
            let is_number = groups.len() == 3 && groups.iter().all(is_group);
            if is_time || is_new_id || is_new_secret || is_number {
                "differs".clone_into(text);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(blank),
        Value::Object(members) => {
            // Midnight may lie between the demo data and the example.
            if let Some(days) = members.get_mut("days_past_due") {
                *days = Value::from("differs");
            }
            // A cursor names its list, whose path may have a new id.
            if let Some(Value::String(cursor)) = members.get_mut("next_cursor") {
                "differs".clone_into(cursor);
            }
            members.values_mut().for_each(blank);
        }
        _ => {}
    }
}
