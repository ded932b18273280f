// Tables of text: columns as wide as their widest cell, numbers to the right, no trailing blanks.

/** Lines of a table; columns named in `right` (by index) are aligned to the right. */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly number[],
): string[] {
  const widths = head.map((cell, c) => Math.max(cell.length, ...rows.map((row) => row[c].length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, c) => (right.includes(c) ? cell.padStart(widths[c]) : cell.padEnd(widths[c])))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)];
}

/** A number of at most `digits` decimals, without trailing zeros. */
export function plain(value: number, digits = 2): string {
  return String(Number(value.toFixed(digits)));
}

/** Seconds as the unit that reads best. */
export function duration(seconds: number): string {
  if (seconds === 0) return '0';
  if (seconds >= 1) return `${plain(seconds)} s`;
  if (seconds >= 1e-3) return `${plain(seconds * 1e3)} ms`;
  return `${plain(seconds * 1e6)} us`;
}
