// What datapath keys look like as text, field by field (lib/odp-util.c of Open vSwitch 3.1; spec F.2): one table for reading and writing.
//
// Attributes with a form of their own (flags, tags, labels, tunnels) are in odp-key.ts.

import { KEY } from './uapi.ts';

/** How a field reads and prints: numbers decimal or hexadecimal, by bytes in network order. */
export type FieldForm = 'ipv4' | 'ipv6' | 'mac' | 'dec' | 'hex' | 'frag';

export interface OdpField {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
  readonly form: FieldForm;
}

/** An attribute that is a list of named fields. */
export interface OdpRecord {
  readonly attr: number;
  readonly bytes: number;
  readonly fields: readonly OdpField[];
}

function field(name: string, at: number, bytes: number, form: FieldForm): OdpField {
  return { name, at, bytes, form };
}

const PORTS = [field('src', 0, 2, 'dec'), field('dst', 2, 2, 'dec')];
const ICMP = [field('type', 0, 1, 'dec'), field('code', 1, 1, 'dec')];

/** By the name of the attribute. */
export const ODP_RECORDS: ReadonlyMap<string, OdpRecord> = new Map([
  [
    'eth',
    {
      attr: KEY.ETHERNET,
      bytes: 12,
      fields: [field('src', 0, 6, 'mac'), field('dst', 6, 6, 'mac')],
    },
  ],
  [
    'ipv4',
    {
      attr: KEY.IPV4,
      bytes: 12,
      fields: [
        field('src', 0, 4, 'ipv4'),
        field('dst', 4, 4, 'ipv4'),
        field('proto', 8, 1, 'dec'),
        field('tos', 9, 1, 'hex'),
        field('ttl', 10, 1, 'dec'),
        field('frag', 11, 1, 'frag'),
      ],
    },
  ],
  [
    'ipv6',
    {
      attr: KEY.IPV6,
      bytes: 40,
      fields: [
        field('src', 0, 16, 'ipv6'),
        field('dst', 16, 16, 'ipv6'),
        field('label', 32, 4, 'hex'),
        field('proto', 36, 1, 'dec'),
        field('tclass', 37, 1, 'hex'),
        field('hlimit', 38, 1, 'dec'),
        field('frag', 39, 1, 'frag'),
      ],
    },
  ],
  [
    'arp',
    {
      attr: KEY.ARP,
      bytes: 24,
      fields: [
        field('sip', 0, 4, 'ipv4'),
        field('tip', 4, 4, 'ipv4'),
        field('op', 8, 2, 'dec'),
        field('sha', 10, 6, 'mac'),
        field('tha', 16, 6, 'mac'),
      ],
    },
  ],
  ['tcp', { attr: KEY.TCP, bytes: 4, fields: PORTS }],
  ['udp', { attr: KEY.UDP, bytes: 4, fields: PORTS }],
  ['sctp', { attr: KEY.SCTP, bytes: 4, fields: PORTS }],
  ['icmp', { attr: KEY.ICMP, bytes: 2, fields: ICMP }],
  ['icmpv6', { attr: KEY.ICMPV6, bytes: 2, fields: ICMP }],
  [
    'nd',
    {
      attr: KEY.ND,
      bytes: 28,
      fields: [
        field('target', 0, 16, 'ipv6'),
        field('sll', 16, 6, 'mac'),
        field('tll', 22, 6, 'mac'),
      ],
    },
  ],
  [
    'ct_tuple4',
    {
      attr: KEY.CT_ORIG_TUPLE_IPV4,
      bytes: 13,
      fields: [
        field('src', 0, 4, 'ipv4'),
        field('dst', 4, 4, 'ipv4'),
        field('proto', 12, 1, 'dec'),
        field('tp_src', 8, 2, 'dec'),
        field('tp_dst', 10, 2, 'dec'),
      ],
    },
  ],
  [
    'ct_tuple6',
    {
      attr: KEY.CT_ORIG_TUPLE_IPV6,
      bytes: 37,
      fields: [
        field('src', 0, 16, 'ipv6'),
        field('dst', 16, 16, 'ipv6'),
        field('proto', 36, 1, 'dec'),
        field('tp_src', 32, 2, 'dec'),
        field('tp_dst', 34, 2, 'dec'),
      ],
    },
  ],
]);

/** An attribute that is one number, in the host's order. */
export interface OdpScalar {
  readonly attr: number;
  readonly bytes: 2 | 4;
  readonly form: 'dec' | 'hex';
}

export const ODP_SCALARS: ReadonlyMap<string, OdpScalar> = new Map([
  ['recirc_id', { attr: KEY.RECIRC_ID, bytes: 4, form: 'hex' }],
  ['dp_hash', { attr: KEY.DP_HASH, bytes: 4, form: 'hex' }],
  ['skb_priority', { attr: KEY.PRIORITY, bytes: 4, form: 'hex' }],
  ['in_port', { attr: KEY.IN_PORT, bytes: 4, form: 'dec' }],
  ['skb_mark', { attr: KEY.SKB_MARK, bytes: 4, form: 'hex' }],
  ['ct_zone', { attr: KEY.CT_ZONE, bytes: 2, form: 'hex' }],
  ['ct_mark', { attr: KEY.CT_MARK, bytes: 4, form: 'hex' }],
]);

/** ct_state bits from the lowest on. */
export const CT_STATE_NAMES = ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'];
export const TCP_FLAG_NAMES = [
  'fin',
  'syn',
  'rst',
  'psh',
  'ack',
  'urg',
  'ece',
  'cwr',
  'ns',
  '[200]',
  '[400]',
  '[800]',
];
