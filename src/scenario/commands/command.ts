// What a command of a scenario's `run:` block is: words in, text and an exit status out, as the real tool would give.
// The shell in front of it knows words, quotes, backslash, comments, `;` and newlines; no variables, no pipes, no redirection
// (an unquoted `|`, `<`, `>`, `&`, `$` or backquote is refused, never passed on as a word) but for `echo VALUE > FILE`.

import type { NetStack } from '../../stack/net-stack.ts';
import type { Kernel } from '../../../driver/kernel.ts';

/** The machine a command acts on, seen from one of its network namespaces. */
export interface CommandContext {
  stack: NetStack;
  kernel: Kernel;
  /** Text of a file that a command names (`nft -f FILE`); null when it cannot be read. */
  readText: (name: string) => string | null;
  /** What the command reads from standard input. */
  stdin?: string;
  /** Runs another command on the machine that a context describes (`ip netns exec`). */
  run: (words: readonly string[], ctx: CommandContext, stdin?: string) => CommandResult;
}

export interface CommandResult {
  /** Exit status of the process. */
  status: number;
  stdout: string;
  stderr: string;
}

/** One tool. */
export interface ShellCommand {
  readonly name: string;
  /** One line for `flowtwin help`. */
  readonly summary: string;
  /** `args` without the tool's own name. */
  run(args: string[], ctx: CommandContext, stdin?: string): CommandResult;
}

/** Exit status of a shell for a command that does not exist. */
export const COMMAND_NOT_FOUND = 127;

/** Success with text. */
export function ok(stdout = ''): CommandResult {
  return { status: 0, stdout, stderr: '' };
}

/** Failure with text for stderr. */
export function failed(status: number, stderr: string): CommandResult {
  return { status, stdout: '', stderr };
}

/** A line the shell cannot split: position (0-based column) and what was expected. */
export class ShellSyntaxError extends Error {
  override readonly name = 'ShellSyntaxError';
}

/** Splits text into commands of words. Throws ShellSyntaxError. */
export function tokenize(text: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  let word: string | null = null;
  const endWord = (): void => {
    if (word !== null) words.push(word);
    word = null;
  };
  const endCommand = (): void => {
    endWord();
    if (words.length > 0) commands.push(words);
    words = [];
  };
  let i = 0;
  while (i < text.length) {
    const c = text.charAt(i);
    if (c === ' ' || c === '\t') endWord();
    else if (c === '\n' || c === ';') endCommand();
    else if (c === '#' && word === null) {
      while (i < text.length && text.charAt(i) !== '\n') i++;
      continue;
    } else if (c === "'" || c === '"') {
      const quoted = readQuoted(text, i);
      word = (word ?? '') + quoted.text;
      i = quoted.end;
      continue;
    } else if (c === '\\') {
      i++;
      if (i >= text.length) throw new ShellSyntaxError(`column ${i}: backslash at the end`);
      if (text.charAt(i) !== '\n') word = (word ?? '') + text.charAt(i);
    } else if (c === '>' && (words[0] ?? word) === 'echo') {
      endWord();
      words.push('>');
    } else if ('|<>&$`'.includes(c))
      throw new ShellSyntaxError(`column ${i}: '${c}' is not supported, quote it`);
    else word = (word ?? '') + c;
    i++;
  }
  endCommand();
  return commands;
}

function readQuoted(text: string, start: number): { text: string; end: number } {
  const quote = text.charAt(start);
  let out = '';
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charAt(i);
    if (c === quote) return { text: out, end: i + 1 };
    if (quote === '"' && c === '\\' && '"\\$`\n'.includes(text.charAt(i + 1))) {
      i++;
      if (text.charAt(i) !== '\n') out += text.charAt(i);
    } else out += c;
  }
  throw new ShellSyntaxError(`column ${start}: unterminated ${quote}`);
}
