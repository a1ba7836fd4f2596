//! What was edited in a file after it ran.

use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};

/// The difference of two texts as a unified diff, its first forty lines.
pub fn text_diff(before: &str, after: &str) -> String {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let printer = BasicLineDiffPrinter(&input.interner);
    let text = diff.unified_diff(&printer, UnifiedDiffConfig::default(), &input).to_string();
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    let mut shown = lines.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    if lines.len() > 40 {
        shown.push_str(&format!("\n  … and {} more lines", lines.len() - 40));
    }
    shown
}
