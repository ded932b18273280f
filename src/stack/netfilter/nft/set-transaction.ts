// Sets, maps and their elements in a transaction.

import { EEXIST, EINVAL, EOPNOTSUPP } from '../../../../driver/errno.ts';
import type { Place, SetElement } from './ast.ts';
import type { Change } from './changes.ts';
import type { Command } from './command-parser.ts';
import { refuseByKernel } from './refusal.ts';
import type { Table } from './ruleset.ts';
import { addElements, removeElements } from './set-model.ts';
import type { NamedSet, SetSpec } from './set-model.ts';
import { parseElements } from './set-parser.ts';
import { checkTarget, lookUp } from './set-use.ts';

/** `add set`, `add map`: the declaration, then its elements. `command`: the place of the whole. */
export function addSet(
  table: Table,
  spec: SetSpec,
  create: boolean,
  command: Place,
  changes: Change[],
): void {
  const old = table.set(spec.name);
  if (old !== undefined) {
    const isSame =
      old.isMap === spec.isMap &&
      String(old.keyTypes) === String(spec.keyTypes) &&
      String(old.dataTypes) === String(spec.dataTypes);
    if (create || !isSame || old.interval !== spec.interval) refuseByKernel(EEXIST, spec.place);
    changes.push({ verb: 'add', object: 'set', table, set: old });
    insert(table, old, spec.elements, false, changes);
    return;
  }
  const isTree = spec.interval && spec.dynamic;
  if (isTree) refuseByKernel(EOPNOTSUPP, command);
  if (spec.gcMs > 0 && !spec.hasTimeout) refuseByKernel(EINVAL, command);
  const constantSize = spec.constant ? spec.elements.length : 0;
  const set: NamedSet = {
    ...spec,
    elements: [],
    handle: table.nextHandle++,
    declaredSize: spec.size,
    constantSize,
  };
  table.sets.push(set);
  changes.push({ verb: 'add', object: 'set', table, set });
  insert(table, set, spec.elements, false, changes);
}

/** `add element`, `create element`, `delete element`. */
export function changeElements(table: Table, command: Command, changes: Change[]): void {
  const set = lookUp(table, command.name, command.namePlace);
  const elements = parseElements(command.elements, set, command.devices);
  if (command.verb !== 'delete') {
    insert(table, set, elements, command.verb === 'create', changes);
    return;
  }
  for (const element of removeElements(set, elements))
    changes.push({ verb: 'delete', object: 'element', table, set, element });
}

function insert(
  table: Table,
  set: NamedSet,
  elements: readonly SetElement[],
  create: boolean,
  changes: Change[],
): void {
  for (const element of elements)
    if (element.data?.kind === 'jump') checkTarget(table, element.data.chain, element);
  for (const element of addElements(set, elements, create))
    changes.push({ verb: 'add', object: 'element', table, set, element });
}
