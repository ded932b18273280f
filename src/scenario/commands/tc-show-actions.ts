// tc's actions as tc(8) prints them: the action's own words, its index, times and counters (iproute2 6.1.0).

import { etherTypeName } from '../../rules/names.ts';
import type { Action, MeterVerdict } from '../../rules/rule.ts';
import type { TcControl } from '../../rules/tc-actions.ts';
import { hwStatsName } from '../../stack/tc/action.ts';
import type { TcActionInstance } from '../../stack/tc/action.ts';
import type { JsonNode } from './json-text.ts';
import { elapsed, labelHex } from './tc-show-common.ts';
import type { ShowOptions } from './tc-show-common.ts';

type Fields = [string, JsonNode][];

/** From the action's name on; ends without a line end, its own last line blank. */
export function actionText(action: TcActionInstance, options: ShowOptions): string {
  return `${ownText(action, options)}${statsText(action, options)}\n`;
}

function controlText(control: TcControl | null): string {
  if (control === null) return 'stolen';
  return control.kind === 'goto' ? `goto chain ${control.group}` : control.kind;
}

function identity(action: TcActionInstance, options: ShowOptions): string {
  return `index ${action.index} ref ${action.refCount} bind ${action.bindCount}${times(action, options)}`;
}

function times(action: TcActionInstance, options: ShowOptions): string {
  if (!options.stats) return '';
  const installed = elapsed(options.nowPs, action.installedPs);
  const used = elapsed(options.nowPs, action.lastUsePs);
  let text = '';
  if (installed.isShown) text += ` installed ${installed.seconds} sec`;
  if (used.isShown) text += ` used ${used.seconds} sec`;
  return text;
}

function ownText(action: TcActionInstance, options: ShowOptions): string {
  const control = controlText(action.control);
  const index = identity(action, options);
  const [step] = action.steps;
  switch (action.kind) {
    case 'gact':
      return `gact action ${control}\n\t random type none pass val 0\n\t ${index}`;
    case 'pedit':
      return peditText(action, control, index);
    case 'csum':
      return `csum (${csumText(step)}) action ${control}\n\t${index}`;
    case 'mirred':
      return `mirred (${mirredText(step)}) ${action.control === null ? 'stolen' : control}\n\t${index}`;
    case 'police':
      return policeText(action, options);
    default: {
      const blank = SPACED.has(action.kind) ? ' ' : '';
      return `${action.kind} ${blank}${details(action)} ${control}\n\t ${index}`;
    }
  }
}

/** Kinds whose words begin after two blanks. */
const SPACED = new Set(['vlan', 'tunnel_key', 'mpls', 'skbedit']);

function peditText(action: TcActionInstance, control: string, index: string): string {
  const keys = action.peditKeys.map(
    (key, i) =>
      `\n\t key #${i}  at ${key.header}+${key.offset}: ${key.add ? 'add' : 'val'} ` +
      `${hex8(key.val)} mask ${hex8(key.mask)}`,
  );
  const count = action.peditKeys.length;
  return ` pedit action ${control} keys ${count}\n \t ${index}${keys.join('')}`;
}

function hex8(word: number): string {
  return word.toString(16).padStart(8, '0');
}

function mirredText(step: Action): string {
  const verb = step.kind === 'mirror' ? 'Mirror' : 'Redirect';
  return `Egress ${verb} to device ${'port' in step ? step.port : ''}`;
}

const CSUM_NAMES: readonly (readonly [header: string, name: string])[] = [
  ['ip', 'iph'],
  ['icmp', 'icmp'],
  ['igmp', 'igmp'],
  ['tcp', 'tcp'],
  ['udp', 'udp'],
  ['udplite', 'udplite'],
  ['sctp', 'sctp'],
];

function csumText(step: Action): string {
  const headers = step.kind === 'checksum' ? step.headers : [];
  return CSUM_NAMES.filter(([header]) => headers.includes(header))
    .map(([, name]) => name)
    .join(', ');
}

const VERDICTS: Record<MeterVerdict, string> = {
  drop: 'drop',
  pass: 'pass',
  pipe: 'pipe',
  reclassify: 'reclassify',
};

function policeText(action: TcActionInstance, options: ShowOptions): string {
  const [step] = action.steps;
  if (step.kind !== 'police') return '';
  const exceed = VERDICTS[step.exceed];
  const conform = step.conform === 'pass' ? '' : `/${VERDICTS[step.conform]}`;
  return (
    ` police 0x${action.index.toString(16)} rate ${rateText(step.rateBytesPerS)} ` +
    `burst ${sizeText(step.burstBytes)} mtu ${sizeText(step.mtuBytes || 2048)} ` +
    `action ${exceed}${conform} overhead 0b \n\tref ${action.refCount} bind ${action.bindCount} ${times(action, options)}`
  );
}

/** tc_print_rate: in bits per second, the largest unit that divides. */
function rateText(bytesPerS: number): string {
  let value = bytesPerS * 8;
  let unit = 0;
  const units = ['', 'K', 'M', 'G', 'T'];
  while (unit < 4 && value >= 1000 && value % 1000 === 0) {
    value /= 1000;
    unit++;
  }
  return `${value}${units[unit]}bit`;
}

/** tc_print_size: kilobytes and megabytes where they come out within a thousandth. */
function sizeText(bytes: number): string {
  const near = (unit: number): boolean =>
    bytes >= unit && Math.abs(unit * Math.round(bytes / unit) - bytes) < 1024;
  if (bytes >= 1 << 20 && near(1 << 20)) return `${Math.round(bytes / (1 << 20))}Mb`;
  const kilo = Math.round(bytes / 1024);
  if (bytes >= 1024 && Math.abs(kilo * 1024 - bytes) < 16) return `${kilo}Kb`;
  return `${bytes}b`;
}

/** The words of the other kinds. */
function details(action: TcActionInstance): string {
  const [step] = action.steps;
  switch (step.kind) {
    case 'pop_vlan':
      return 'pop';
    case 'push_vlan':
      return `push id ${step.id} protocol ${etherTypeName(step.tpid)} priority ${step.pcp}`;
    case 'encap':
      return tunnelText(step.tunnel);
    case 'decap':
      return 'unset';
    case 'pop_mpls':
      return `pop protocol ${etherTypeName(step.tpid)}`;
    case 'push_mpls':
      return (
        `push protocol ${etherTypeName(step.tpid)} label ${step.label} tc ${step.tc} ` +
        `bos ${step.bos} ttl ${step.ttl}`
      );
    case 'dec_ttl':
      return 'dec_ttl';
    case 'ct':
      return ctText(step);
    case 'sample': {
      const trunc = step.truncBytes > 0 ? ` trunc_size ${step.truncBytes}` : '';
      return `rate 1/${step.rate} group ${step.group}${trunc}`;
    }
    default:
      return action.steps.map((one) => setText(one, action.kind)).join(' ');
  }
}

function setText(step: Action, kind: string): string {
  if (step.kind === 'mark')
    return step.mask === 0xffffffff
      ? `mark ${step.value}`
      : `mark ${step.value}/0x${step.mask.toString(16)}`;
  if (step.kind === 'queue') return `queue_mapping ${step.index}`;
  if (step.kind !== 'set_field') return step.kind;
  if (kind === 'skbedit') return `priority :${step.value[0].toString(16)}`;
  const name = step.field.replace(/^(vlan|mpls)_/, '').replace('pcp', 'priority');
  const text =
    name === 'tpid' ? `protocol ${etherTypeName(step.value[0])}` : `${name} ${step.value[0]}`;
  return name === 'id' || name === 'label' ? `modify ${text}` : text;
}

function tunnelText(tunnel: (Action & { kind: 'encap' })['tunnel']): string {
  let text = `set\n\tsrc_ip ${tunnel.src}\n\tdst_ip ${tunnel.dst}`;
  if (tunnel.id !== null) text += `\n\tkey_id ${tunnel.id}`;
  if (tunnel.dstPort !== null) text += `\n\tdst_port ${tunnel.dstPort}`;
  text += tunnel.checksum ? '\n\tcsum' : '\n\tnocsum';
  if (tunnel.dontFragment) text += '\n\tnofrag';
  if (tunnel.tos !== null) text += `\n\ttos 0x${tunnel.tos.toString(16)}`;
  if (tunnel.ttl !== null) text += `\n\tttl ${tunnel.ttl}`;
  return text;
}

function ctText(step: Action & { kind: 'ct' }): string {
  const words: string[] = [];
  if (step.commit) words.push('commit');
  if (step.force) words.push('force');
  if (step.clear) words.push('clear');
  if (step.mark !== null) {
    const { value, mask } = step.mark;
    words.push(`mark ${value}${mask === 0xffffffff ? '' : `/0x${mask.toString(16)}`}`);
  }
  if (step.zone !== 0) words.push(`zone ${step.zone}`);
  if (step.label !== null) words.push(`label ${ctLabelText(step.label)}`);
  if (step.nat !== null) words.push(`nat${natText(step)}`);
  return words.join(' ');
}

function ctLabelText(label: { value: number[]; mask: number[] }): string {
  const isFull = label.mask.every((word) => word === 0xffffffff);
  return isFull ? labelHex(label.value) : `${labelHex(label.value)}/${labelHex(label.mask)}`;
}

function natText(step: Action & { kind: 'ct' }): string {
  const { nat } = step;
  if (nat === null || nat === 'restore') return '';
  let text = ` ${nat.direction} addr ${nat.addressLow}`;
  if (nat.addressHigh !== nat.addressLow) text += `-${nat.addressHigh}`;
  if (nat.portLow > 0) text += ` port ${nat.portLow}`;
  if (nat.portHigh !== nat.portLow) text += `-${nat.portHigh}`;
  return text;
}

function statsText(action: TcActionInstance, options: ShowOptions): string {
  const { software, hardware } = action;
  let text = '\n';
  if (options.stats) {
    const [bytes, packets] = [software.bytes + hardware.bytes, software.packets + hardware.packets];
    text +=
      `\tAction statistics:\n\tSent ${bytes} bytes ${packets} pkt ` +
      `(dropped ${action.drops}, overlimits ${action.overlimits} requeues 0) \n`;
    if (hardware.packets > 0)
      text +=
        `\tSent software ${software.bytes} bytes ${software.packets} pkt\n` +
        `\tSent hardware ${hardware.bytes} bytes ${hardware.packets} pkt\n`;
    text += '\tbacklog 0b 0p requeues 0\n';
  }
  if (options.isAction === true) text += '\tnot_in_hw\n';
  if (action.usedHwStats !== 0) text += `\tused_hw_stats ${hwStatsName(action.usedHwStats)}\n`;
  return text.replace(/\n$/, '');
}

/** An action of a filter's JSON. */
export function actionNode(
  action: TcActionInstance,
  order: number,
  options: ShowOptions,
): JsonNode {
  const fields: Fields = [['order', order]];
  fields.push(['kind', action.kind], ...ownFields(action, options));
  if (action.kind !== 'pedit') fields.push(...statsFields(action, options));
  return { fields };
}

function controlNode(control: TcControl | null): JsonNode {
  if (control?.kind !== 'goto') return { fields: [['type', control?.kind ?? 'stolen']] };
  return {
    fields: [
      ['type', 'goto'],
      ['chain', control.group],
    ],
  };
}

function identityFields(action: TcActionInstance, options: ShowOptions): Fields {
  return [['index', action.index], ...refFields(action, options)];
}

function refFields(action: TcActionInstance, options: ShowOptions): Fields {
  const fields: Fields = [
    ['ref', action.refCount],
    ['bind', action.bindCount],
  ];
  if (!options.stats) return fields;
  const installed = elapsed(options.nowPs, action.installedPs);
  const used = elapsed(options.nowPs, action.lastUsePs);
  if (installed.isShown) fields.push(['installed', installed.seconds]);
  if (used.isShown) fields.push(['last_used', used.seconds]);
  return fields;
}

function ownFields(action: TcActionInstance, options: ShowOptions): Fields {
  const control: [string, JsonNode] = ['control_action', controlNode(action.control)];
  const identity = identityFields(action, options);
  const [step] = action.steps;
  switch (action.kind) {
    case 'gact': {
      const pass: JsonNode = { fields: [['type', 'pass']] };
      const prob: Fields = [
        ['random_type', 'none'],
        ['control_action', pass],
        ['val', 0],
      ];
      return [control, ['prob', { fields: prob }], ...identity];
    }
    case 'mirred':
      return [
        ['mirred_action', step.kind === 'mirror' ? 'mirror' : 'redirect'],
        ['direction', 'egress'],
        ['to_dev', 'port' in step ? step.port : ''],
        control,
        ...identity,
      ];
    case 'pedit':
      return [
        control,
        ['nkeys', action.peditKeys.length],
        ...identity,
        ['keys', { items: action.peditKeys.map(peditNode) }],
        ...statsFields(action, options),
      ];
    case 'csum':
      return [['csum', csumText(step)], control, ...identity];
    case 'police':
      return policeFields(action, options);
    default:
      return [...detailFields(action), control, ...identity];
  }
}

function peditNode(key: TcActionInstance['peditKeys'][number]): JsonNode {
  return {
    fields: [
      ['htype', key.header],
      ['offset', key.offset],
      ['cmd', key.add ? 'add' : 'set'],
      ['val', key.val.toString(16)],
      ['mask', key.mask.toString(16)],
    ],
  };
}

/** iproute2 6.1 gives of a policer no rate in JSON, and `control_action` twice. */
function policeFields(action: TcActionInstance, options: ShowOptions): Fields {
  const [step] = action.steps;
  if (step.kind !== 'police') return [];
  const fields: Fields = [
    ['index', action.index],
    ['control_action', { fields: [['type', VERDICTS[step.exceed]]] }],
  ];
  if (step.conform !== 'pass')
    fields.push(['control_action', { fields: [['type', VERDICTS[step.conform]]] }]);
  fields.push(['overhead', 0], ...refFields(action, options));
  return fields;
}

function detailFields(action: TcActionInstance): Fields {
  const [step] = action.steps;
  switch (step.kind) {
    case 'pop_vlan':
      return [['vlan_action', 'pop']];
    case 'push_vlan':
      return [
        ['vlan_action', 'push'],
        ['id', step.id],
        ['protocol', etherTypeName(step.tpid)],
        ['priority', step.pcp],
      ];
    case 'encap':
      return tunnelFields(step.tunnel);
    case 'decap':
      return [['mode', 'unset']];
    case 'pop_mpls':
      return [
        ['mpls_action', 'pop'],
        ['protocol', etherTypeName(step.tpid)],
      ];
    case 'push_mpls':
      return [
        ['mpls_action', 'push'],
        ['protocol', etherTypeName(step.tpid)],
        ['label', step.label],
        ['tc', step.tc],
        ['bos', step.bos],
        ['ttl', step.ttl],
      ];
    case 'ct':
      return ctFields(step);
    case 'sample': {
      const fields: Fields = [
        ['rate', `1/${step.rate}`],
        ['group', step.group],
      ];
      if (step.truncBytes > 0) fields.push(['trunc_size', step.truncBytes]);
      return fields;
    }
    default:
      return action.steps.map((one) => setField(one, action.kind));
  }
}

function setField(step: Action, kind: string): [string, JsonNode] {
  if (step.kind === 'mark') return ['mark', step.value];
  if (step.kind === 'queue') return ['queue_mapping', step.index];
  if (step.kind !== 'set_field') return [`${kind}_action`, step.kind];
  if (kind === 'skbedit') return ['priority', `:${step.value[0].toString(16)}`];
  return [step.field.replace(/^(vlan|mpls)_/, '').replace('pcp', 'priority'), step.value[0]];
}

function tunnelFields(tunnel: (Action & { kind: 'encap' })['tunnel']): Fields {
  const fields: Fields = [
    ['mode', 'set'],
    ['src_ip', tunnel.src],
    ['dst_ip', tunnel.dst],
  ];
  if (tunnel.id !== null) fields.push(['key_id', tunnel.id]);
  if (tunnel.dstPort !== null) fields.push(['dst_port', tunnel.dstPort]);
  fields.push(['flag', tunnel.checksum ? 'csum' : 'nocsum']);
  if (tunnel.tos !== null) fields.push(['tos', tunnel.tos]);
  if (tunnel.ttl !== null) fields.push(['ttl', tunnel.ttl]);
  return fields;
}

function ctFields(step: Action & { kind: 'ct' }): Fields {
  const fields: Fields = [];
  const words = [step.commit ? 'commit' : '', step.force ? 'force' : '', step.clear ? 'clear' : ''];
  const verb = words.filter((word) => word !== '').join(' ');
  if (verb !== '') fields.push(['action', verb]);
  if (step.mark !== null) {
    fields.push(['mark', step.mark.value]);
    if (step.mark.mask !== 0xffffffff) fields.push(['mark_mask', step.mark.mask.toString(16)]);
  }
  if (step.zone !== 0) fields.push(['zone', step.zone]);
  if (step.label !== null) fields.push(['label', ctLabelText(step.label)]);
  if (step.nat !== null) fields.push(['nat', natText(step).trim()]);
  return fields;
}

function statsFields(action: TcActionInstance, options: ShowOptions): Fields {
  const { software, hardware } = action;
  const fields: Fields = [];
  if (options.stats) {
    const stats: Fields = [
      ['bytes', software.bytes + hardware.bytes],
      ['packets', software.packets + hardware.packets],
      ['drops', action.drops],
      ['overlimits', action.overlimits],
      ['requeues', 0],
    ];
    if (hardware.packets > 0)
      stats.push(
        ['sw_bytes', software.bytes],
        ['sw_packets', software.packets],
        ['hw_bytes', hardware.bytes],
        ['hw_packets', hardware.packets],
      );
    stats.push(['backlog', 0], ['qlen', 0]);
    fields.push(['stats', { fields: stats }]);
  }
  if (options.isAction === true) fields.push(['not_in_hw', true]);
  if (action.usedHwStats !== 0)
    fields.push(['used_hw_stats', { items: [hwStatsName(action.usedHwStats)] }]);
  return fields;
}
