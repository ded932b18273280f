// What the names of a command stand for; the kernel refuses names that do not exist.

import { ENOENT } from '../../../../driver/errno.ts';
import type { Command } from './command-parser.ts';
import { refuseByKernel } from './refusal.ts';
import type { Chain, Ruleset, Table } from './ruleset.ts';

export function tableOf(ruleset: Ruleset, command: Command): Table {
  return ruleset.find(command.family, command.table) ?? refuseByKernel(ENOENT, command.tablePlace);
}

export function chainOf(table: Table, command: Command): Chain {
  return table.chain(command.name) ?? refuseByKernel(ENOENT, command.namePlace);
}
