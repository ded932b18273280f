// The words after `flow-type` as a flow specification (rxclass.c's grammar): options of the type, each with a value and, after `m`, a
// mask whose one bits do not matter; action, queue, vf, context and loc.

import * as E from '../../../../driver/ethtool.ts';
import type { EthtoolRxFlowSpec, FlowField, MaskedField } from '../../../../driver/ethtool.ts';
import {
  ETHTOOL_OPTIONS,
  FLOW_TYPES,
  parseOptionValue,
  takesOption,
} from '../../../rules/ethtool.ts';
import { fullMask } from '../../../rules/rule.ts';
import type { FieldName } from '../../../rules/rule.ts';
import { complement, parseWide } from '../../../rules/values.ts';
import { parseU32 } from './args.ts';

/** Flow types by the tool's names. */
export const FLOW_TYPE_NUMBERS: Readonly<Record<string, number>> = {
  tcp4: E.TCP_V4_FLOW,
  udp4: E.UDP_V4_FLOW,
  sctp4: E.SCTP_V4_FLOW,
  ah4: E.AH_V4_FLOW,
  esp4: E.ESP_V4_FLOW,
  ip4: E.IPV4_USER_FLOW,
  tcp6: E.TCP_V6_FLOW,
  udp6: E.UDP_V6_FLOW,
  sctp6: E.SCTP_V6_FLOW,
  ah6: E.AH_V6_FLOW,
  esp6: E.ESP_V6_FLOW,
  ip6: E.IPV6_USER_FLOW,
  ether: E.ETHER_FLOW,
};

/** Option word to field. */
const FIELDS: Readonly<Record<string, FlowField>> = {
  src: 'eth_src',
  dst: 'eth_dst',
  proto: 'eth_proto',
  'src-ip': 'src_ip',
  'dst-ip': 'dst_ip',
  tos: 'tos',
  tclass: 'tos',
  l4proto: 'l4_proto',
  l4data: 'l4_data',
  'src-port': 'src_port',
  'dst-port': 'dst_port',
  spi: 'spi',
  'vlan-etype': 'vlan_etype',
  vlan: 'vlan_tci',
  'user-def': 'user_def',
  'dst-mac': 'dst_mac',
};

/** What the tool says of a line that it does not take; the general complaint follows. */
export interface SpecFault {
  stdout: string;
  stderr: string;
}

const INVALID_SYNTAX = 'Add rule, invalid syntax\n';
/** Ring cookies of a drop: all ones, as the tool takes it. */
const DROP_COOKIES: readonly string[] = ['-1', '0xffffffffffffffff', '18446744073709551615'];

/** Reads the words from the flow type on. */
export function readFlowSpec(words: readonly string[]): { spec: EthtoolRxFlowSpec } | SpecFault {
  const name = words[0];
  if (!Object.hasOwn(FLOW_TYPE_NUMBERS, name)) return { stdout: '', stderr: INVALID_SYNTAX };
  const reader = new SpecReader(name, words.slice(1));
  const fault = reader.read();
  return fault ?? { spec: reader.spec };
}

class SpecReader {
  readonly spec: EthtoolRxFlowSpec;
  private readonly type: (typeof FLOW_TYPES)[number];
  private readonly words: readonly string[];
  private readonly given = new Set<string>();
  private at = 0;

  constructor(name: string, words: readonly string[]) {
    this.type = FLOW_TYPES.find((one) => one.name === name) ?? FLOW_TYPES[0];
    this.words = words;
    this.spec = {
      flow_type: FLOW_TYPE_NUMBERS[name],
      fields: {},
      cookie: { drop: false, ring: 0, vf: 0 },
      location: E.RX_CLS_LOC_ANY,
      rss_context: -1,
    };
  }

  /** Reads all options; a fault, or null. A last word without a value is not looked at. */
  read(): SpecFault | null {
    while (this.at + 1 < this.words.length) {
      const option = this.words[this.at];
      const value = this.words[this.at + 1];
      this.at += 2;
      const fault = this.option(option, value);
      if (fault !== null) return fault;
    }
    return null;
  }

  private option(option: string, value: string): SpecFault | null {
    const bad = { stdout: '', stderr: `Invalid ${option} value[${value}]\n` };
    const isAction = ['action', 'queue', 'vf', 'loc', 'context'].includes(option);
    const field = isAction ? null : this.fieldOf(option);
    const ports = this.l4BytesAt(option);
    if (!isAction && field === null && ports < 0)
      return { stdout: `Add rule, unrecognized option[${option}]\n`, stderr: '' };
    const other = isAction ? this.incompatible(option) : '';
    if (other !== '') return { stdout: '', stderr: `action and ${other} are not compatible\n` };
    if (this.given.has(option) || this.sharesBytes(option)) return bad;
    this.given.add(option);
    if (field === null && ports >= 0) return this.l4Bytes(option, ports, value, bad);
    if (field !== null) return this.field(option, field, value, bad);
    return this.action(option, value) ? null : bad;
  }

  /** `action` has queue and function in one number, so it excludes both; '' when nothing is in the way. */
  private incompatible(option: string): string {
    if (option === 'action') return ['queue', 'vf'].find((one) => this.given.has(one)) ?? '';
    return ['queue', 'vf'].includes(option) && this.given.has('action') ? option : '';
  }

  /** Shift of an option that is a part of the four L4 bytes of ip4 and ip6; −1 for another. */
  private l4BytesAt(option: string): number {
    if (!['ip4', 'ip6'].includes(this.type.name)) return -1;
    return { 'src-port': 16, 'dst-port': 0, spi: 0 }[option] ?? -1;
  }

  /** l4data and spi are the same bytes as both ports. */
  private sharesBytes(option: string): boolean {
    if (this.l4BytesAt(option) < 0 && option !== 'l4data') return false;
    const whole = ['l4data', 'spi'];
    const parts = whole.includes(option) ? ['src-port', 'dst-port', ...whole] : whole;
    return parts.some((one) => this.given.has(one));
  }

  /** A port or an SPI as L4 bytes. */
  private l4Bytes(option: string, shift: number, text: string, bad: SpecFault): SpecFault | null {
    const most = option === 'spi' ? 0xffffffff : 0xffff;
    const value = parseU32(text);
    if (value === null || value > most) return bad;
    let ignored: number | null = 0;
    if (['m', 'mask'].includes(this.words[this.at] ?? '')) {
      const word = this.words[this.at + 1];
      if (word === undefined) return { stdout: '', stderr: INVALID_SYNTAX };
      ignored = parseU32(word);
      if (ignored === null || ignored > most)
        return { stdout: '', stderr: `Invalid ${option} mask[${word}]\n` };
      this.at += 2;
    }
    const { value: [oldValue] = [0], mask: [oldMask] = [0] } = this.spec.fields.l4_data ?? {};
    this.spec.fields.l4_data = {
      value: [(oldValue | (value << shift)) >>> 0],
      mask: [(oldMask | ((most & ~ignored) << shift)) >>> 0],
    };
    return null;
  }

  /** The neutral rule language's field of an option that this flow type takes. */
  private fieldOf(option: string): FieldName | null {
    if (option === 'vlan') return 'vlan_tpid';
    const known = ETHTOOL_OPTIONS.find(
      (one) => one.option === option && takesOption(this.type, one),
    );
    return known?.field ?? null;
  }

  private field(option: string, name: FieldName, text: string, bad: SpecFault): SpecFault | null {
    const value = parseOptionValue(name, text);
    if (value === null) return bad;
    let mask = fullMask(name);
    if (['m', 'mask'].includes(this.words[this.at] ?? '')) {
      const ignored = this.words[this.at + 1];
      if (ignored === undefined) return { stdout: '', stderr: INVALID_SYNTAX };
      const words = parseOptionValue(name, ignored);
      if (words === null) return { stdout: '', stderr: `Invalid ${option} mask[${ignored}]\n` };
      mask = complement(name, words);
      this.at += 2;
    }
    const masked: MaskedField = { value, mask };
    this.spec.fields[FIELDS[option]] = masked;
    return null;
  }

  private action(option: string, text: string): boolean {
    const { spec } = this;
    const number = parseU32(text);
    if (option === 'action') return this.cookie(text);
    if (number === null) return false;
    if (option === 'queue') spec.cookie.ring = number;
    else if (option === 'vf') {
      if (number > 254) return false;
      spec.cookie.vf = number + 1;
    } else if (option === 'loc') spec.location = number;
    else spec.rss_context = number;
    return true;
  }

  /** A ring cookie: −1 drops; else a ring, and a virtual function plus one in bits 39:32. */
  private cookie(text: string): boolean {
    const { cookie } = this.spec;
    cookie.drop = DROP_COOKIES.includes(text.toLowerCase());
    if (cookie.drop) return true;
    const words = parseWide(text, 64);
    if (words === null) return false;
    [, cookie.ring] = words;
    cookie.vf = words[0] & 0xff;
    return true;
  }
}
