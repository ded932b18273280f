// conntrack(8), version 1.4.7: -L, -D, -F, -C, -S with the usual filters and `-o extended,id`. Lines go to stdout, the footer
// to stderr. Left out: -E (events), -I, -U, -G, expectations, -j (netfilter's -j is SNAT's filter, there is no JSON).

import { parseAddress } from '../../stack/ip/address.ts';
import type { Netfilter } from '../../stack/netfilter/index.ts';
import {
  anyConnection,
  connectionLines,
  matchesFilter,
} from '../../stack/netfilter/conntrack/listing.ts';
import type { ConnectionFilter, LineOptions } from '../../stack/netfilter/conntrack/listing.ts';
import { TCP_STATE_NAMES } from '../../stack/netfilter/conntrack/tcp-table.ts';
import {
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_HW_OFFLOAD,
  IPS_OFFLOAD,
  IPS_SEEN_REPLY,
} from '../../stack/netfilter/conntrack/table.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { failed } from './command.ts';
import { netfilterOf } from './nft.ts';

const VERSION = 'conntrack v1.4.7 (conntrack-tools)';

interface Request {
  action: string;
  filter: ConnectionFilter;
  line: LineOptions;
}

class UsageError extends Error {
  override readonly name = 'UsageError';
}

const ACTIONS: Record<string, string> = {
  '--dump': '-L',
  '-L': '-L',
  '--delete': '-D',
  '-D': '-D',
  '--flush': '-F',
  '-F': '-F',
  '--count': '-C',
  '-C': '-C',
  '--stats': '-S',
  '-S': '-S',
};

const LONG: Record<string, string> = {
  '--family': '-f',
  '--proto': '-p',
  '--src': '-s',
  '--orig-src': '-s',
  '--dst': '-d',
  '--orig-dst': '-d',
  '--reply-src': '-r',
  '--reply-dst': '-q',
  '--sport': '--sport',
  '--orig-port-src': '--sport',
  '--dport': '--dport',
  '--orig-port-dst': '--dport',
  '--mark': '-m',
  '--zone': '-w',
  '--status': '-u',
  '--output': '-o',
};

const PROTOCOLS: Record<string, number> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  gre: 47,
  icmpv6: 58,
  sctp: 132,
};

const STATUSES: Record<string, readonly [set: number, clear: number]> = {
  ASSURED: [IPS_ASSURED, 0],
  SEEN_REPLY: [IPS_SEEN_REPLY, 0],
  UNREPLIED: [0, IPS_SEEN_REPLY],
  CONFIRMED: [IPS_CONFIRMED, 0],
  OFFLOAD: [IPS_OFFLOAD, 0],
  HW_OFFLOAD: [IPS_HW_OFFLOAD, 0],
};

function parseRequest(args: readonly string[]): Request {
  const request: Request = {
    action: '',
    filter: anyConnection(),
    line: { extended: false, id: false },
  };
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    const action = ACTIONS[arg];
    if (action !== undefined) {
      request.action = action;
      // An optional table name follows the action.
      if (args[i + 1] === 'conntrack') i++;
      continue;
    }
    const value = args[i + 1];
    if (value === undefined) throw new UsageError(`option \`${arg}' requires an argument`);
    option(request, LONG[arg] ?? arg, value);
    i++;
  }
  return request;
}

function option(request: Request, name: string, value: string): void {
  const { filter } = request;
  switch (name) {
    case '-f':
      if (value !== 'ipv4' && value !== 'ipv6') throw new UsageError(`unknown family '${value}'`);
      filter.family = value === 'ipv4' ? 2 : 10;
      return;
    case '-p':
      filter.protocol = PROTOCOLS[value] ?? number(value, `unknown protocol \`${value}'`);
      return;
    case '-s':
      filter.src = address(value);
      return;
    case '-d':
      filter.dst = address(value);
      return;
    case '-r':
      filter.replySrc = address(value);
      return;
    case '-q':
      filter.replyDst = address(value);
      return;
    case '--sport':
      filter.sport = number(value, `invalid port '${value}'`);
      return;
    case '--dport':
      filter.dport = number(value, `invalid port '${value}'`);
      return;
    case '-m':
      filter.mark = number(value, `invalid mark '${value}'`);
      return;
    case '-w':
      filter.zone = number(value, `invalid zone '${value}'`);
      return;
    case '--state':
      filter.state = (TCP_STATE_NAMES as readonly string[]).indexOf(value);
      if (filter.state < 0) throw new UsageError(`Bad parameter \`${value}'`);
      return;
    case '-u':
      for (const word of value.split(',')) {
        const bits = STATUSES[word];
        if (bits === undefined) throw new UsageError(`Bad parameter \`${word}'`);
        filter.statusSet |= bits[0];
        filter.statusClear |= bits[1];
      }
      return;
    case '-o':
      for (const word of value.split(',')) {
        if (word === 'extended') request.line.extended = true;
        else if (word === 'id') request.line.id = true;
        else throw new UsageError(`Bad parameter \`${word}'`);
      }
      return;
    default:
      throw new UsageError(`unknown option \`${name}'`);
  }
}

function number(text: string, message: string): number {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new UsageError(message);
  return Number(text);
}

function address(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === null) throw new UsageError(`Invalid IP address \`${text}'`);
  return bytes;
}

function footer(count: number, what: string): string {
  return `${VERSION}: ${count} flow entries have been ${what}.\n`;
}

function execute(request: Request, netfilter: Netfilter, ctx: CommandContext): CommandResult {
  const ct = netfilter.conntrack;
  const { action, filter, line } = request;
  const ids = ct.liveIds().filter((id) => matchesFilter(ct, id, filter));
  if (action === '-C') return { status: 0, stdout: `${ct.liveIds().length}\n`, stderr: '' };
  if (action === '-S') return { status: 0, stdout: statsLine(netfilter), stderr: '' };
  if (action === '-F') {
    for (const id of ids) ct.kill(id);
    return {
      status: 0,
      stdout: '',
      stderr: `${VERSION}: connection tracking table has been emptied.\n`,
    };
  }
  const lines = connectionLines(ctx.stack, ct, ids, line);
  const stdout = lines.map((l) => `${l}\n`).join('');
  if (action === '-L') return { status: 0, stdout, stderr: footer(ids.length, 'shown') };
  for (const id of ids) ct.kill(id);
  return { status: ids.length > 0 ? 0 : 1, stdout, stderr: footer(ids.length, 'deleted') };
}

function statsLine(netfilter: Netfilter): string {
  const { stats } = netfilter.conntrack;
  const fields = Object.entries(stats).map(([name, value]) => `${name}=${value} `);
  return `cpu=0   \t${fields.join('')}\n`;
}

export const conntrack: ShellCommand = {
  name: 'conntrack',
  summary: 'connection tracking: conntrack -L|-D|-F|-C|-S [filters] [-o extended,id]',
  run(args: string[], ctx: CommandContext): CommandResult {
    const netfilter = netfilterOf(ctx);
    if (netfilter === null) return failed(1, `${VERSION}: the machine has no netfilter\n`);
    try {
      const request = parseRequest(args);
      if (request.action === '')
        return failed(2, `${VERSION}: no command given, see \`conntrack --help'\n`);
      return execute(request, netfilter, ctx);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return failed(2, `${VERSION}: ${error.message}\n`);
    }
  },
};
