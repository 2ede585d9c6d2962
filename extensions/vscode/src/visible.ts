// Text of a repository, shown as data: what would steer a terminal, reorder a line, draw an icon or be Markdown shows
// as what it is.

// Controls (but tab and newline), and the characters that turn the direction of writing or have no width.
const STEERING = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function visible(text: string): string {
  return text.replace(STEERING, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x20 ? String.fromCharCode(0x2400 + code) : `<${code.toString(16).padStart(4, "0")}>`;
  });
}

/** For a message, where `[text](command:…)` would be a link. */
export function message(text: string): string {
  return visible(text).replaceAll("](", "] (");
}

/** On one line, for a label; `$(name)` would be an icon there. */
export function label(text: string): string {
  return visible(text.replace(/\s+/g, " ").trim()).replace(/\$\([^)]*\)/g, (icon) => `\\${icon}`);
}

/** A block of code in Markdown that its text cannot end: its fence is longer than any in the text. */
export function codeBlock(text: string, language: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map((run) => run[0].length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language.replace(/[^a-z]/g, "")}\n${visible(text).trimEnd()}\n${fence}\n`;
}
