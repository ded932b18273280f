// All dialects behind one door: which one a file is, its rules, and rules as text.
//
// A file is read to its first malformed line; the rules before it are kept and the error is handed back beside them.

import { ClassbenchReader } from './classbench.ts';
import { tellClassbench } from './classbench-print.ts';
import { EthtoolReader } from './ethtool.ts';
import { tellEthtool } from './ethtool-print.ts';
import { readOvs } from './ovs-parse.ts';
import { tellOvs } from './ovs-print.ts';
import type { Dialect, Rule } from './rule.ts';
import { logicalLines, RuleSyntaxError, shown } from './scan.ts';
import type { LogicalLine } from './scan.ts';
import { TcReader } from './tc-parse.ts';
import { tellTc } from './tc-print.ts';
import type { Told } from './telling.ts';
import { readTestpmd } from './testpmd-parse.ts';
import { tellTestpmd } from './testpmd-print.ts';

/** What the first meaningful line looks like; null for none of the dialects. */
export function detectDialect(text: string): Dialect | null {
  for (const line of logicalLines(text)) return dialectOf(line);
  return null;
}

function dialectOf({ text }: LogicalLine): Dialect | null {
  if (/^(tc|filter|qdisc)\s/.test(text)) return 'tc';
  if (/^ethtool\s/.test(text)) return 'ethtool';
  if (/^(testpmd>\s*)?flow\s/.test(text)) return 'testpmd';
  if (text.startsWith('@')) return 'classbench';
  if (/^(ovs-dpctl|ovs-appctl|ufid:|flow-dump from )/.test(text)) return 'ovs';
  if (/^((add|modify|add-flow)\s.*)?['"]?[a-z_0-9]+\(/.test(text)) return 'ovs';
  return null;
}

export interface RulesRead {
  dialect: Dialect;
  /** In file order; `order` counts from 0. */
  rules: Rule[];
  /** The first malformed line; null when the whole file was read. */
  error: RuleSyntaxError | null;
}

/** Reads rules up to the first malformed line. An empty file of unknown dialect has no rules. */
export function readRules(text: string, file: string, from: Dialect | 'auto'): RulesRead {
  const dialect = from === 'auto' ? detectDialect(text) : from;
  const rules: Rule[] = [];
  if (dialect === null) {
    for (const { line, text: found } of logicalLines(text)) {
      const expected = 'a line of tc, ethtool, testpmd, OVS or ClassBench';
      const error = new RuleSyntaxError(file, { line, column: 1 }, expected, shown(found));
      return { dialect: 'tc', rules, error };
    }
    return { dialect: 'tc', rules, error: null };
  }
  const read = reader(dialect, file);
  try {
    for (const line of logicalLines(text)) {
      const rule = read(line);
      if (rule === null) continue;
      rule.source.column = line.words[0].at.column;
      rule.order = rules.length;
      rules.push(rule);
    }
  } catch (error) {
    if (error instanceof RuleSyntaxError) return { dialect, rules, error };
    throw error;
  }
  return { dialect, rules, error: null };
}

function reader(dialect: Dialect, file: string): (line: LogicalLine) => Rule | null {
  switch (dialect) {
    case 'tc': {
      const tc = new TcReader(file);
      return (line) => tc.read(line);
    }
    case 'ethtool': {
      const ethtool = new EthtoolReader(file);
      return (line) => ethtool.read(line);
    }
    case 'testpmd':
      return (line) => readTestpmd(file, line);
    case 'ovs':
      return (line) => readOvs(file, line);
    case 'classbench': {
      const classbench = new ClassbenchReader(file);
      return (line) => classbench.read(line);
    }
  }
}

/** A rule in a dialect's words, or why it cannot be said. `device` stands in where the rule names none; '' for a default. */
export function tellRule(rule: Rule, to: Dialect, device = ''): Told {
  switch (to) {
    case 'tc':
      return tellTc(rule, device === '' ? 'p0' : device);
    case 'ethtool':
      return tellEthtool(rule, device === '' ? 'p0' : device);
    case 'testpmd':
      return tellTestpmd(rule, device === '' ? '0' : device);
    case 'ovs':
      return tellOvs(rule, device);
    case 'classbench':
      return tellClassbench(rule);
  }
}
