// ovs-dpctl: datapaths and their ports: add-dp, del-dp, add-if, del-if, dump-dps, show.

import { ENODEV, strerror } from '../../../../driver/errno.ts';
import { zeroStats64 } from '../../../../driver/netdev.ts';
import type { Datapath } from '../../../stack/openvswitch/datapath.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { bare, DpctlError, logLine, macOf, named, namesOf, noDatapath } from './common.ts';
import type { Call } from './common.ts';

export function addDp(call: Call): CommandResult {
  const { datapaths, args } = call;
  const name = bare(args[0]);
  const error = datapaths.add(name, macOf(name));
  if (error !== 0) throw new DpctlError(`add_dp (${strerror(-error)})`);
  const note = 'dpif_netlink|INFO|Datapath dispatch mode: per-cpu';
  const rest = args.slice(1);
  const added = rest.length === 0 ? ok() : addIf({ ...call, args: [name, ...rest] });
  return { ...added, stderr: `${logLine(call, 1, note)}${added.stderr}` };
}

export function delDp({ datapaths, args }: Call): CommandResult {
  const name = bare(args[0]);
  if (datapaths.remove(name) !== 0) throw new DpctlError(noDatapath());
  return ok();
}

/** `NAME[,type=internal][,port_no=N]`. */
export function addIf(call: Call): CommandResult {
  const { datapaths, args, ctx } = call;
  const datapath = named(datapaths, args[0]);
  let failures = '';
  for (const spec of args.slice(1)) {
    const [name, ...settings] = spec.split(',');
    const values = new Map(settings.map((one) => one.split('=', 2) as [string, string]));
    const type = values.get('type') ?? '';
    const number = values.has('port_no') ? Number(values.get('port_no')) : -1;
    if (['vxlan', 'geneve', 'gre'].includes(type)) {
      const texts = [
        `netdev_vport|WARN|${name}: ${type} type requires valid 'remote_ip' argument`,
        `netdev|WARN|${name}: could not set configuration (Invalid argument)`,
      ];
      failures += texts.map((text, i) => logLine(call, i + 1, text)).join('');
      continue;
    }
    const dev = type === 'internal' ? null : ctx.stack.links.byName(name);
    if (type !== 'internal' && dev === null) {
      failures += `ovs-dpctl: ${name}: failed to open network device (${strerror(ENODEV)})\n`;
      continue;
    }
    const error =
      dev === null
        ? datapaths.addInternal(datapath, name, number, macOf(name))
        : datapaths.addDevice(datapath, dev, number);
    if (error !== 0)
      failures += `ovs-dpctl: adding ${name} to ${args[0]} failed (${strerror(-error)})\n`;
  }
  return failures === '' ? ok() : failed(1, failures);
}

export function delIf({ datapaths, args }: Call): CommandResult {
  const datapath = named(datapaths, args[0]);
  let failures = '';
  for (const name of args.slice(1)) {
    const number = /^[0-9]+$/.test(name) ? Number(name) : namesOf(datapath).numberOf(name);
    if (number === null) {
      failures += `ovs-dpctl: no port named ${name}\n`;
      continue;
    }
    const error = datapaths.removePort(datapath, number);
    if (error !== 0)
      failures += `ovs-dpctl: deleting port ${name} from ${args[0]} failed (${strerror(-error)})\n`;
  }
  return failures === '' ? ok() : failed(1, failures);
}

export function dumpDps({ datapaths }: Call): CommandResult {
  return ok(
    datapaths
      .list()
      .map(({ name }) => `system@${name}\n`)
      .join(''),
  );
}

export function show(call: Call): CommandResult {
  const { datapaths, args, options } = call;
  const chosen = args.length === 0 ? datapaths.list() : args.map((name) => named(datapaths, name));
  return ok(chosen.map((one) => showDatapath(one, options.has('statistics'))).join(''));
}

function showDatapath(datapath: Datapath, withStatistics: boolean): string {
  const lines = [
    `system@${datapath.name}:`,
    ...datapathLines(datapath).map((line) => `  ${line}`),
    '  caches:',
    '    masks-cache: size:256',
  ];
  const ports = [...datapath.ports.values()].sort((a, b) => a.number - b.number);
  for (const { number, dev, type } of ports) {
    lines.push(`  port ${number}: ${dev.name}${type === 'netdev' ? '' : ` (${type})`}`);
    if (!withStatistics) continue;
    const stats = zeroStats64();
    dev.ops.ndo_get_stats64?.(dev, stats);
    lines.push(
      `    RX packets:${stats.rx_packets} errors:${stats.rx_errors} dropped:${stats.rx_dropped} overruns:0 frame:0`,
      `    TX packets:${stats.tx_packets} errors:${stats.tx_errors} dropped:${stats.tx_dropped} aborted:0 carrier:0`,
      '    collisions:0',
      `    RX bytes:${stats.rx_bytes}${human(stats.rx_bytes)}  TX bytes:${stats.tx_bytes}${human(stats.tx_bytes)}`,
    );
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** ` (1.5 KiB)` from 1,024 bytes on. */
function human(bytes: number): string {
  if (bytes < 1024) return '';
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return ` (${value.toFixed(1)} ${units[unit]})`;
}

/** The counters that `show` begins with. */
export function datapathLines(datapath: Datapath): string[] {
  const { hits, missed, lost, table } = datapath;
  const packets = hits + missed;
  const perPacket = packets === 0 ? 0 : table.maskHits / packets;
  return [
    `lookups: hit:${hits} missed:${missed} lost:${lost}`,
    `flows: ${table.flowCount}`,
    `masks: hit:${table.maskHits} total:${table.maskCount} hit/pkt:${perPacket.toFixed(2)}`,
  ];
}
