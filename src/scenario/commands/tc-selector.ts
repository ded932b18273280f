// Which filters a `tc filter show|get|del` or `tc chain` command is about: words in any order.

import type { Direction } from '../../stack/tc/block.ts';
import type { LogicalLine } from '../../rules/scan.ts';
import { etherType } from '../../rules/names.ts';

/** Ends the command with a message and a status. */
export class TcUsageError extends Error {
  override readonly name = 'TcUsageError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export interface Selector {
  /** '' where none was given. */
  dev: string;
  /** 0 where none was given. */
  block: number;
  direction: Direction | null;
  /** −1 where none was given; 3 for all. */
  protocol: number;
  /** 0 where none was given. */
  pref: number;
  handle: number;
  chain: number;
  chainGiven: boolean;
}

export function readSelector(words: readonly string[]): Selector {
  const found: Selector = {
    dev: '',
    block: 0,
    direction: null,
    protocol: -1,
    pref: 0,
    handle: 0,
    chain: 0,
    chainGiven: false,
  };
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const value = (): string => {
      i++;
      if (i >= words.length)
        throw new TcUsageError(1, 'Command line is not complete. Try option "help"\n');
      return words[i];
    };
    const number = (): number => {
      const text = value();
      if (!/^(0x[0-9a-f]+|[0-9]+)$/i.test(text))
        throw new TcUsageError(1, `Error: argument "${text}" is wrong: invalid ${word} value\n`);
      return Number(text);
    };
    if (word === 'dev') found.dev = value();
    else if (word === 'block') found.block = number();
    else if (word === 'ingress' || word === 'egress') found.direction = word;
    else if (word === 'parent') found.direction = value().endsWith('fff3') ? 'egress' : 'ingress';
    else if (word.length >= 3 && 'protocol'.startsWith(word)) {
      const text = value();
      found.protocol = text === 'all' ? 3 : (etherType(text) ?? -1);
      if (found.protocol < 0)
        throw new TcUsageError(1, `Error: argument "${text}" is wrong: invalid protocol\n`);
    } else if (['pref', 'prio', 'preference', 'priority'].includes(word)) found.pref = number();
    else if (word === 'handle') found.handle = number();
    else if (word === 'chain') {
      found.chain = number();
      found.chainGiven = true;
    } else if (word !== 'flower' && word !== 'matchall' && word !== 'root')
      throw new TcUsageError(1, `Unknown filter "${word}", hence option is unparsable\n`);
  }
  return found;
}

/** Words as a line of rule text, so that the rule parsers read them. */
export function lineOf(words: readonly string[]): LogicalLine {
  let column = 1;
  const placed = words.map((text) => {
    const at = { line: 1, column };
    column += text.length + 1;
    return { text, at };
  });
  return { line: 1, text: words.join(' '), words: placed };
}
