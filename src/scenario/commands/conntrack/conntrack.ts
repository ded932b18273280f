// conntrack(8), version 1.4.7: -L -G -D -I -A -U -E -F -C -S on the tables conntrack, expect, dying and unconfirmed. Lines go to
// stdout, the footer to stderr; exit status 1 when nothing was met, 2 for words that make no command.
//
// `-E` cannot block here: it goes on in the background and prints its lines as simulated time passes.

import { EEXIST } from '../../../../driver/errno.ts';
import { PS_PER_S, PS_PER_US } from '../../../../hw/time/units.ts';
import { matchesFilter } from '../../../stack/netfilter/conntrack/filter.ts';
import { connectionElements } from '../../../stack/netfilter/conntrack/listing-xml.ts';
import { connectionLines, eventLine } from '../../../stack/netfilter/conntrack/listing.ts';
import { D_BYTES, D_PACKETS, ROW_DOUBLES } from '../../../stack/netfilter/conntrack/table.ts';
import { updateConnection } from '../../../stack/netfilter/conntrack/userspace.ts';
import type { Netfilter } from '../../../stack/netfilter/index.ts';
import type { CommandContext, CommandResult, ShellCommand } from '../command.ts';
import { failed, ok } from '../command.ts';
import { netfilterOf } from '../nft.ts';
import { changeOf, create, findExact } from './create.ts';
import { expectLines } from './expect.ts';
import { UsageError, parseRequest } from './options.ts';
import type { Request } from './options.ts';
import { saveLine } from './save.ts';

const VERSION = 'conntrack v1.4.7 (conntrack-tools)';
const TRY_HELP = "Try `conntrack -h' or 'conntrack --help' for more information.\n";
/** The watch that -E opens. */
const TOPIC = 'conntrack';
/** Bits of -e by kind of event. */
const EVENT_BITS = { NEW: 1, UPDATE: 2, DESTROY: 4 } as const;
const SAVE_VERBS = { NEW: '-A', UPDATE: '-U', DESTROY: '-D' } as const;

function footer(count: number, what: string): string {
  return `${VERSION}: ${count} ${what}\n`;
}

function refused(message: string): CommandResult {
  return failed(1, `${VERSION}: Operation failed: ${message}\n`);
}

function linesOf(
  request: Request,
  netfilter: Netfilter,
  ctx: CommandContext,
  ids: number[],
): string {
  const ct = netfilter.conntrack;
  if (request.save) {
    const verb = request.action === 'D' ? '-D' : '-A';
    return ids.map((id) => `${saveLine(ct, id, verb)}\n`).join('');
  }
  const lines = request.xml
    ? connectionElements(ctx.stack, ct, ids)
    : connectionLines(ctx.stack, ct, ids, request.line);
  // Flows that a deletion or a change met stand alone; the tool opens a document for -G and does not close it.
  const { action } = request;
  if (request.xml && (action === 'L' || action === 'G') && lines.length > 0) {
    lines.unshift('<?xml version="1.0" encoding="utf-8"?>', '<conntrack>');
    if (action === 'L') lines.push('</conntrack>');
  }
  return lines.map((line) => `${line}\n`).join('');
}

function execute(request: Request, netfilter: Netfilter, ctx: CommandContext): CommandResult {
  const ct = netfilter.conntrack;
  const { filter, action } = request;
  if (request.table === 'expect') return onExpectations(request, netfilter);
  const met = (): number[] => ct.liveIds().filter((id) => matchesFilter(ct, id, filter));
  const shown = (ids: number[], what: string): CommandResult => ({
    status: ids.length > 0 || action === 'L' ? 0 : 1,
    stdout: linesOf(request, netfilter, ctx, ids),
    stderr: footer(ids.length, `flow entries have been ${what}.`),
  });
  switch (action) {
    case 'L': {
      const ids = request.table === 'conntrack' ? met() : others(request, netfilter);
      const result = shown(ids, 'shown');
      if (request.zero) for (const id of ids) zeroCounters(netfilter, id);
      return result;
    }
    case 'G': {
      const id = findExact(netfilter, filter);
      return id < 0 ? refused("such conntrack doesn't exist") : shown([id], 'shown');
    }
    case 'D': {
      const ids = met();
      const result = shown(ids, 'deleted');
      for (const id of ids) ct.kill(id);
      return result;
    }
    case 'U': {
      const ids = toUpdate(request, netfilter);
      for (const id of ids) updateConnection(ct, id, changeOf(request));
      return shown(ids, 'updated');
    }
    case 'I':
    case 'A': {
      if (create(netfilter, request) === EEXIST)
        return refused('Such conntrack exists, try -U to update');
      const what = action === 'I' ? 'created' : 'added';
      return { status: 0, stdout: '', stderr: footer(1, `flow entries have been ${what}.`) };
    }
    case 'E':
      return watch(request, netfilter, ctx);
    case 'F':
      for (const id of ct.liveIds()) if (matchesFilter(ct, id, filter)) ct.kill(id);
      return {
        status: 0,
        stdout: '',
        stderr: `${VERSION}: connection tracking table has been emptied.\n`,
      };
    case 'C':
      return ok(`${ct.liveIds().length}\n`);
    case 'S':
      return ok(statsLine(netfilter));
    case 'V':
      return ok(`${VERSION}\n`);
    default:
      return ok(usage());
  }
}

/** -U changes what its tuple options name; the rest says how. */
function toUpdate(request: Request, netfilter: Netfilter): number[] {
  const ct = netfilter.conntrack;
  const which = { ...request.filter, mark: null, state: null, statusSet: 0, statusClear: 0 };
  return ct.liveIds().filter((id) => matchesFilter(ct, id, which));
}

/** The tables `unconfirmed` and `dying` (the latter is empty: rows are freed at once, unless a flow holds them). */
function others(request: Request, netfilter: Netfilter): number[] {
  const ct = netfilter.conntrack;
  if (request.table !== 'unconfirmed') return [];
  return ct
    .pending()
    .map((conn) => conn.id)
    .filter((id) => matchesFilter(ct, id, request.filter));
}

function zeroCounters(netfilter: Netfilter, id: number): void {
  const { doubles } = netfilter.conntrack.table;
  for (const direction of [0, 1]) {
    doubles[id * ROW_DOUBLES + D_PACKETS + direction] = 0;
    doubles[id * ROW_DOUBLES + D_BYTES + direction] = 0;
  }
}

function onExpectations(request: Request, netfilter: Netfilter): CommandResult {
  const { expectations } = netfilter.conntrack;
  const lines = expectLines(netfilter.conntrack);
  switch (request.action) {
    case 'L':
      return {
        status: 0,
        stdout: lines.map((line) => `${line}\n`).join(''),
        stderr: footer(lines.length, 'expectations have been shown.'),
      };
    case 'C':
      return ok(`${lines.length}\n`);
    case 'F':
      expectations.list.length = 0;
      return failed(0, `${VERSION}: expectation table has been emptied.\n`);
    default:
      throw new UsageError("Can't use this command with the table `expect'");
  }
}

/** -E: from now on every event that fits is printed. */
function watch(request: Request, netfilter: Netfilter, ctx: CommandContext): CommandResult {
  const ct = netfilter.conntrack;
  if (request.xml) throw new UsageError('events as XML are not modelled');
  const { monitors } = ctx.stack;
  monitors.open(TOPIC);
  ct.events.listen((kind, id, bits) => {
    if ((request.events & EVENT_BITS[kind]) === 0 || !matchesFilter(ct, id, request.filter)) return;
    const line = request.save
      ? saveLine(ct, id, SAVE_VERBS[kind])
      : eventLine(ct, kind, id, bits, request.line);
    monitors.print(TOPIC, `${request.timestamp ? stamp(ct.now) : ''}${line}\n`);
  });
  return ok();
}

/** `-o timestamp`: seconds and microseconds of the event. */
function stamp(ps: number): string {
  const seconds = String(Math.floor(ps / PS_PER_S)).padStart(8, '0');
  const micros = String(Math.floor((ps % PS_PER_S) / PS_PER_US)).padStart(6, '0');
  return `[${seconds}.${micros}]\t`;
}

function statsLine(netfilter: Netfilter): string {
  const lines = netfilter.conntrack.coreStats.map((stats, cpu) => {
    const fields = Object.entries(stats).map(([name, value]) => `${name}=${value} `);
    return `cpu=${String(cpu).padEnd(4)}\t${fields.join('')}\n`;
  });
  return lines.join('');
}

function usage(): string {
  return (
    'Command line interface for the connection tracking system. Version 1.4.7\n' +
    'Usage: conntrack [commands] [options]\n'
  );
}

export const conntrack: ShellCommand = {
  name: 'conntrack',
  summary:
    'connection tracking: conntrack -L|-G|-D|-I|-A|-U|-E|-F|-C|-S [table] [filters] [-o ...]',
  run(args: string[], ctx: CommandContext): CommandResult {
    const netfilter = netfilterOf(ctx);
    if (netfilter === null) return failed(1, `${VERSION}: the machine has no netfilter\n`);
    try {
      const request = parseRequest(args);
      if (request.action === null) throw new UsageError('no command given');
      return execute(request, netfilter, ctx);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return failed(2, `${VERSION}: ${error.message}\n${TRY_HELP}`);
    }
  },
};
