// devlink port show and region show. Output as recorded from iproute2 6.1.0.
//
// Left out: changing types, splitting, port functions and rates; contents of regions.

import type { Devlink, DevlinkPort } from '../../../../driver/devlink.ts';
import { EINVAL } from '../../../../driver/errno.ts';
import type { CommandResult } from '../command.ts';
import { DevlinkUsageError, hasHandle, listing, noDevice, object } from './args.ts';
import { refused, takeOptions, takePort } from './args.ts';
import type { DevlinkCall, Entry } from './args.ts';

export function runPort(call: DevlinkCall): CommandResult {
  requireShow(call);
  if (!hasHandle(call.words)) {
    const entries = call.devlinks
      .all()
      .flatMap((devlink) => devlink.ports.map((port) => portEntry(devlink, port)));
    return listing(call.flags, 'port', entries);
  }
  const found = takePort(call);
  takeOptions(call.words, []);
  return found === null
    ? noDevice()
    : listing(call.flags, 'port', [portEntry(found.devlink, found.port)]);
}

/** `show` is all that these objects can do. */
function requireShow({ words }: DevlinkCall): void {
  const word = words.shift() ?? 'show';
  if (!'show'.startsWith(word) && word !== 'list')
    throw new DevlinkUsageError(`Command "${word}" not found\n`);
}

function portEntry(devlink: Devlink, { index, dev, portNumber }: DevlinkPort): Entry {
  const handle = `${devlink.handle}/${index}`;
  return {
    handle,
    text: `${handle}: type eth netdev ${dev.name} flavour physical port ${portNumber} splittable false\n`,
    node: object(
      ['type', 'eth'],
      ['netdev', dev.name],
      ['flavour', 'physical'],
      ['port', portNumber],
      ['splittable', false],
    ),
  };
}

export function runRegion(call: DevlinkCall): CommandResult {
  requireShow(call);
  let wanted: string | null = null;
  if (hasHandle(call.words)) {
    wanted = call.words.shift() ?? '';
    if (wanted.split('/').length !== 3)
      throw new DevlinkUsageError(
        'Wrong identification string format.\n' +
          'Expected "bus_name/dev_name/region" identification.\n' +
          `Region identification "${wanted}" is invalid\n`,
      );
    takeOptions(call.words, []);
  }
  const entries = call.devlinks.all().flatMap(regionEntries);
  if (wanted === null) return listing(call.flags, 'regions', entries);
  const [bus, name] = wanted.split('/');
  if (call.devlinks.find(bus, name) === null) return noDevice();
  const found = entries.filter(({ handle }) => handle === wanted);
  return found.length === 0 ? refused(EINVAL) : listing(call.flags, 'regions', found);
}

function regionEntries(devlink: Devlink): Entry[] {
  return devlink.regions.map(({ name, sizeBytes, snapshots, snapshotsMax }) => {
    const handle = `${devlink.handle}/${name}`;
    return {
      handle,
      text: `${handle}: size ${sizeBytes} snapshot [${snapshots.join(' ')}] max ${snapshotsMax}\n`,
      node: object(['size', sizeBytes], ['snapshot', { items: snapshots }], ['max', snapshotsMax]),
    };
  });
}
