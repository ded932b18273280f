// What a transaction has changed, in order: the events of `nft monitor` are printed from it (monitor.ts).

import type { SetElement } from './ast.ts';
import type { NamedSet } from './set-model.ts';
import type { NamedObject } from './objects.ts';
import type { Chain, Rule, Table } from './ruleset.ts';

export type Change =
  | { verb: 'add' | 'delete'; object: 'table'; table: Table }
  | { verb: 'add' | 'delete'; object: 'chain'; table: Table; chain: Chain }
  | { verb: 'add' | 'delete'; object: 'object'; table: Table; named: NamedObject }
  | { verb: 'add' | 'delete'; object: 'set'; table: Table; set: NamedSet }
  | { verb: 'add' | 'delete'; object: 'element'; table: Table; set: NamedSet; element: SetElement }
  | { verb: 'add' | 'insert' | 'delete'; object: 'rule'; table: Table; chain: Chain; rule: Rule };
