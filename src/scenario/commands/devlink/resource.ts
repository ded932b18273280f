// devlink resource: show and set. Output as recorded from iproute2 6.1.0; `size_valid` appears while a change waits for a reload.

import type { DevlinkResource } from '../../../../driver/devlink.ts';
import {
  findResource,
  hasPendingSize,
  isSizeValid,
  setResourceSize,
} from '../../../../driver/devlink-core.ts';
import { EOPNOTSUPP } from '../../../../driver/errno.ts';
import { failed } from '../command.ts';
import type { CommandResult } from '../command.ts';
import type { JsonNode } from '../json-text.ts';
import { DevlinkUsageError, answered, listing, noDevice, numberOf, refused } from './args.ts';
import { takeDevlink, takeOptions } from './args.ts';
import type { DevlinkCall, ScalarField } from './args.ts';

export function runResource(call: DevlinkCall): CommandResult {
  const word = call.words.shift() ?? 'show';
  if ('show'.startsWith(word)) return show(call);
  if ('set'.startsWith(word)) return set(call);
  throw new DevlinkUsageError(`Command "${word}" not found\n`);
}

function show(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  takeOptions(call.words, []);
  if (devlink === null) return noDevice();
  const { handle, resources } = devlink;
  if (resources.length === 0) return refused(EOPNOTSUPP);
  const isPending = hasPendingSize(resources);
  return listing(call.flags, 'resources', [
    {
      handle,
      text: `${handle}:\n${resources.map((one) => textOf(one, isPending, 2)).join('')}`,
      node: { items: resources.map((one) => nodeOf(one, isPending)) },
    },
  ]);
}

/** All that is said of a resource but its children. */
function fieldsOf(resource: DevlinkResource, isPending: boolean): ScalarField[] {
  const size = (value: number): string | number => (value === Infinity ? 'unlimited' : value);
  const { sizeMin, sizeMax, granularity, occupied, children } = resource;
  const fields: ScalarField[] = [
    ['name', resource.name],
    ['size', size(resource.size)],
  ];
  if (resource.sizeNew !== resource.size) fields.push(['size_new', size(resource.sizeNew)]);
  if (occupied !== null) fields.push(['occ', occupied()]);
  fields.push(['unit', 'entry']);
  if (sizeMin !== sizeMax)
    fields.push(['size_min', sizeMin], ['size_max', size(sizeMax)], ['size_gran', granularity]);
  fields.push(['dpipe_tables', 'none']);
  if (isPending && children.length > 0) fields.push(['size_valid', isSizeValid(resource)]);
  return fields;
}

function textOf(resource: DevlinkResource, isPending: boolean, indent: number): string {
  const words = fieldsOf(resource, isPending).map(([name, value]) => `${name} ${String(value)}`);
  let text = `${' '.repeat(indent)}${words.join(' ')}\n`;
  if (resource.children.length > 0) text += `${' '.repeat(indent + 2)}resources:\n`;
  for (const child of resource.children) text += textOf(child, isPending, indent + 4);
  return text;
}

function nodeOf(resource: DevlinkResource, isPending: boolean): JsonNode {
  const fields: [string, JsonNode][] = fieldsOf(resource, isPending).map(([name, value]) => [
    name,
    value,
  ]);
  const { children } = resource;
  if (children.length > 0)
    fields.push(['resources', { items: children.map((one) => nodeOf(one, isPending)) }]);
  return { fields };
}

function set(call: DevlinkCall): CommandResult {
  const devlink = takeDevlink(call);
  const values = takeOptions(call.words, [
    { name: 'path', missing: 'Resource path expected.' },
    { name: 'size', missing: 'Resource size expected.' },
  ]);
  const size = numberOf(values.get('size') ?? '');
  if (devlink === null) return noDevice();
  const resource = findResource(devlink, values.get('path') ?? '');
  if (resource === null) return failed(1, 'error parsing resource path Invalid argument\n');
  const extack = { message: '', reason: '' };
  return answered(setResourceSize(resource, size, extack), extack);
}
