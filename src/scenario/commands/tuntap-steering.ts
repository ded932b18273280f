// `tuntap steering` and `tuntap filter`: the policies and programs of a device, set through its ioctls on whichever queue is open.
//
// A program is a file of bytecode (hex or JSON, src/stack/tun/bpf/insn.ts); it is loaded as bpf(2) would, handed over, and its
// descriptor closed, since the device keeps the program.

import { errnoName, strerror } from '../../../driver/errno.ts';
import { DEFAULT_RSS_KEY } from '../../../driver/twin/rss.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { BpfTextError, parseBpfText } from '../../stack/tun/bpf/insn.ts';
import { writeVnetHash } from '../../stack/tun/steering-rss.ts';
import type { TunDevice } from '../../stack/tun/tun-device.ts';
import * as U from '../../stack/tun/uapi.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import { TunError, bytesOf, deviceOf, numberOf, take } from './tuntap-words.ts';

export function steering(args: string[], ctx: CommandContext): CommandResult {
  const tun = deviceOf(ctx.stack, take(args, 0, 'DEV'));
  const policy = args[1];
  if (policy === undefined) return ok(`${tun.dev.name}: ${describe(tun)}\n`);
  if (policy === 'automq') return setPolicy(ctx.stack, tun, U.TUN_STEERING_AUTOMQ);
  if (policy === 'cpu') return setPolicy(ctx.stack, tun, U.TUN_STEERING_CPU);
  if (policy === 'rss') return setRss(args.slice(2), ctx.stack, tun);
  if (policy === 'program')
    return setProgram(ctx, tun, 'TUNSETSTEERINGEBPF', take(args, 2, 'FILE or none'));
  throw new TunError(`"${policy}": automq, cpu, rss or program expected`);
}

export function setFilter(args: string[], ctx: CommandContext): CommandResult {
  const tun = deviceOf(ctx.stack, take(args, 0, 'DEV'));
  return setProgram(ctx, tun, 'TUNSETFILTEREBPF', take(args, 1, 'FILE or none'));
}

function describe(tun: TunDevice): string {
  const under = tun.steeringProgram === null ? '' : ` (over ${tun.policy.name})`;
  const program = tun.steeringProgram;
  const size = program === null ? '' : `, ${program.insnCount} instructions`;
  const filter = tun.filterProgram;
  const filtered = filter === null ? '' : `, filter of ${filter.insnCount} instructions`;
  return `${tun.steering.name}${under}${size}${filtered}`;
}

/** Calls an ioctl on any descriptor of the device. */
function onDevice(
  stack: NetStack,
  tun: TunDevice,
  name: string,
  argument: Uint8Array,
): CommandResult {
  const open = stack.tun.openFiles().find(({ file }) => file.tun === tun);
  if (open === undefined) throw new TunError(`no queue of ${tun.dev.name} is open`);
  const error = stack.tun.ioctl(open.fd, name, argument);
  if (error >= 0) return ok();
  return failed(1, `tuntap: ioctl(${name}): ${strerror(error)} (${errnoName(error)})\n`);
}

function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

function setPolicy(stack: NetStack, tun: TunDevice, value: number): CommandResult {
  return onDevice(stack, tun, 'TUNSETSTEERING', int32(value));
}

function setProgram(
  ctx: CommandContext,
  tun: TunDevice,
  request: string,
  file: string,
): CommandResult {
  const { stack } = ctx;
  if (file === 'none') return onDevice(stack, tun, request, int32(-1));
  const text = ctx.readText(file);
  if (text === null) throw new TunError(`${file}: cannot be read`);
  let loaded: ReturnType<typeof stack.tun.bpfProgLoad>;
  try {
    loaded = stack.tun.bpfProgLoad('socket_filter', parseBpfText(text));
  } catch (error) {
    if (error instanceof BpfTextError) throw new TunError(`${file}: ${error.message}`);
    throw error;
  }
  if (typeof loaded !== 'number')
    return failed(
      1,
      `tuntap: ${file}: ${loaded.message}\ntuntap: bpf(BPF_PROG_LOAD): ${strerror(loaded.error)} (${errnoName(loaded.error)})\n`,
    );
  if (loaded < 0) return failed(1, `tuntap: bpf(BPF_PROG_LOAD): ${strerror(loaded)}\n`);
  const result = onDevice(stack, tun, request, int32(loaded));
  stack.tun.close(loaded);
  return result;
}

const HASH_TYPES: Readonly<Record<string, number>> = {
  ipv4: U.HASH_TYPE_IPV4,
  tcpv4: U.HASH_TYPE_TCPV4,
  udpv4: U.HASH_TYPE_UDPV4,
  ipv6: U.HASH_TYPE_IPV6,
  tcpv6: U.HASH_TYPE_TCPV6,
  udpv6: U.HASH_TYPE_UDPV6,
};

function setRss(args: string[], stack: NetStack, tun: TunDevice): CommandResult {
  const request = {
    flags: U.TUN_VNET_HASH_RSS,
    types: U.HASH_TYPES_ALL,
    unclassifiedQueue: 0,
    table: Array.from({ length: U.RSS_TABLE_MAX }, (_v, i) => i % Math.max(tun.numqueues, 1)),
    key: Uint8Array.from(DEFAULT_RSS_KEY),
  };
  for (let i = 0; i < args.length; i += 2) {
    const value = take(args, i + 1, args[i]);
    if (args[i] === 'key') request.key = Uint8Array.from(bytesOf(value));
    else if (args[i] === 'table')
      request.table = value.split(',').map((word) => numberOf(word, 'table'));
    else if (args[i] === 'unclassified') request.unclassifiedQueue = numberOf(value, args[i]);
    else if (args[i] === 'types') request.types = typesOf(value);
    else throw new TunError(`"${args[i]}": key, table, types or unclassified expected`);
  }
  if (request.key.length !== U.RSS_KEY_BYTES)
    throw new TunError(`key: ${U.RSS_KEY_BYTES} bytes expected, not ${request.key.length}`);
  return onDevice(stack, tun, 'TUNSETVNETHASH', writeVnetHash(request));
}

function typesOf(words: string): number {
  let types = 0;
  for (const word of words.split(',')) {
    if (HASH_TYPES[word] === undefined)
      throw new TunError(`types: "${word}": ${Object.keys(HASH_TYPES).join(', ')} expected`);
    types |= HASH_TYPES[word];
  }
  return types;
}
