// Datapath actions out of their text (odp_actions_from_string; spec F.2).
//
// Left out: actions of the userspace datapath only (tnl_push, tnl_pop, lb_output), NSH, psample.

import { VLAN_TAG_PRESENT } from './flow-key.ts';
import { attrBytes, flagAttr, nested, u16Attr, u32Attr } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { LSE_FIELDS, parseKeyAttr } from './odp-key.ts';
import type { PortNames } from './odp-key.ts';
import { Scan } from './odp-scan.ts';
import { tunnelValue } from './odp-tunnel.ts';
import {
  ACT,
  CHECK_PKT_LEN,
  CT,
  KEY,
  MPLS_L3_TUNNEL_FLAG,
  NAT,
  SAMPLE,
  USERSPACE,
} from './uapi.ts';

const EXACT = 0xff;
/** What the tool makes of a userspace action without user data: an empty cookie. */
const COOKIE_BYTES = 48;
const MAX_PROBABILITY = 0xffffffff;

/** The action list of a text. Throws OdpError. */
export function parseOdpActions(text: string, names: PortNames): Uint8Array {
  const scan = new Scan(text.trim());
  if (scan.text === 'drop' || scan.text === '') return new Uint8Array(0);
  const list = new ActionReader(scan, names).list();
  if (!scan.isEnd) scan.fail('an action expected');
  return attrBytes(list);
}

class ActionReader {
  private readonly scan: Scan;
  private readonly names: PortNames;

  constructor(scan: Scan, names: PortNames) {
    this.scan = scan;
    this.names = names;
  }

  /** Actions up to the end or a closing parenthesis. */
  list(): NlAttr[] {
    const { scan } = this;
    const list: NlAttr[] = [];
    for (;;) {
      scan.skipDelimiters();
      if (scan.isEnd || scan.text.charAt(scan.at) === ')') return list;
      list.push(this.action());
    }
  }

  /** The same, where the word `drop` stands for an empty list. */
  private listOrDrop(): NlAttr[] {
    return this.scan.match(/drop(?=\))/) === '' ? this.list() : [];
  }

  private action(): NlAttr {
    const { scan } = this;
    const port = scan.match(/[0-9]+(?=[,)\s]|$)/);
    if (port !== '') return u32Attr(ACT.OUTPUT, Number(port));
    const word = scan.match(/[a-z_A-Z][\w.-]*/);
    const read = READERS[word];
    if (read !== undefined) return read.call(this);
    const number = this.names.numberOf(word);
    return number === null ? scan.fail(`no action '${word}'`) : u32Attr(ACT.OUTPUT, number);
  }

  /** `(...)` around what `read` reads. */
  inside<T>(read: () => T): T {
    this.scan.expect('(');
    const value = read();
    this.scan.expect(')');
    return value;
  }

  /** `name=number` pairs. */
  pairs(limits: Readonly<Record<string, number>>): Map<string, number> {
    const { scan } = this;
    const found = new Map<string, number>();
    for (;;) {
      scan.skipDelimiters();
      const name = scan.match(/[a-z_0-9]+(?==)/);
      if (name === '') return found;
      const max = limits[name];
      if (max === undefined) scan.fail(`no field '${name}' here`);
      scan.expect('=');
      found.set(name, scan.number(max));
    }
  }

  u32(): number {
    return this.scan.number(0xffffffff);
  }

  /** `l4(BASIS)` or `sym_l4(BASIS)`. */
  hashOf(): NlAttr {
    const { scan } = this;
    const algorithm = scan.take('sym_l4(') ? 1 : 0;
    if (algorithm === 0) scan.expect('l4(');
    const basis = scan.number(0xffffffff);
    scan.expect(')');
    const both = [u32Attr(0, algorithm), u32Attr(0, basis)].flatMap((one) => [...one.value]);
    return { type: ACT.HASH, value: Uint8Array.from(both) };
  }

  pushVlan(): NlAttr {
    const limits = { tpid: 0xffff, vid: 0xfff, pcp: 7, cfi: 1 };
    const found = this.inside(() => this.pairs(limits));
    if (!found.has('vid') || !found.has('pcp')) this.scan.fail('vid= and pcp= expected');
    const tpid = found.get('tpid') ?? 0x8100;
    const cfi = found.get('cfi') === 0 ? 0 : VLAN_TAG_PRESENT;
    const tci = (found.get('vid') ?? 0) | ((found.get('pcp') ?? 0) << 13) | cfi;
    return {
      type: ACT.PUSH_VLAN,
      value: Uint8Array.of(tpid >> 8, tpid & 255, tci >> 8, tci & 255),
    };
  }

  mpls(type: number): NlAttr {
    const limits = { label: 0xfffff, tc: 7, ttl: 255, bos: 1, eth_type: 0xffff };
    const found = this.inside(() => this.pairs(limits));
    let lse = 0;
    for (const { name, shift } of LSE_FIELDS) lse |= (found.get(name) ?? 0) << shift;
    const ethType = found.get('eth_type') ?? 0x8847;
    const bytes = [lse >>> 24, (lse >>> 16) & 255, (lse >>> 8) & 255, lse & 255];
    const flags = type === ACT.ADD_MPLS ? MPLS_L3_TUNNEL_FLAG : 0;
    return { type, value: Uint8Array.of(...bytes, ethType >> 8, ethType & 255, flags, 0) };
  }

  popMpls(): NlAttr {
    const found = this.inside(() => this.pairs({ eth_type: 0xffff }));
    const type = found.get('eth_type') ?? 0;
    return { type: ACT.POP_MPLS, value: Uint8Array.of(type >> 8, type & 255) };
  }

  pushEth(): NlAttr {
    const { scan } = this;
    return this.inside(() => {
      scan.expect('src=');
      const src = scan.mac();
      scan.expect(',dst=');
      return { type: ACT.PUSH_ETH, value: Uint8Array.of(...src, ...scan.mac()) };
    });
  }

  set(): NlAttr {
    const attr = this.inside(() => parseKeyAttr(this.scan, this.names));
    if (attr.type === KEY.TUNNEL) return nested(ACT.SET, [tunnelValue(attr)]);
    const isExact = attr.mask.every((byte) => byte === EXACT);
    if (isExact) return nested(ACT.SET, [{ type: attr.type, value: attr.value }]);
    const value = Uint8Array.of(...attr.value, ...attr.mask);
    return nested(ACT.SET_MASKED, [{ type: attr.type, value }]);
  }

  sample(): NlAttr {
    const { scan } = this;
    return this.inside(() => {
      scan.expect('sample=');
      const percent = Number(scan.match(/[0-9]+(\.[0-9]+)?/));
      scan.expect('%');
      if (!(percent >= 0 && percent <= 100)) scan.fail('0 to 100 percent expected');
      scan.expect(',actions');
      const actions = this.inside(() => this.list());
      const probability = Math.floor((MAX_PROBABILITY * percent) / 100 + 0.5);
      return nested(ACT.SAMPLE, [
        u32Attr(SAMPLE.PROBABILITY, probability),
        nested(SAMPLE.ACTIONS, actions),
      ]);
    });
  }

  checkPktLen(): NlAttr {
    const { scan } = this;
    return this.inside(() => {
      scan.expect('size=');
      const size = scan.number(0xffff);
      scan.expect(',gt');
      const greater = this.inside(() => this.listOrDrop());
      scan.expect(',le');
      const lessEqual = this.inside(() => this.listOrDrop());
      return nested(ACT.CHECK_PKT_LEN, [
        u16Attr(CHECK_PKT_LEN.PKT_LEN, size),
        nested(CHECK_PKT_LEN.IF_GREATER, greater),
        nested(CHECK_PKT_LEN.IF_LESS_EQUAL, lessEqual),
      ]);
    });
  }

  decTtl(): NlAttr {
    return this.inside(() => {
      const actions = this.scan.take('le_1') ? this.inside(() => this.list()) : [];
      return nested(ACT.DEC_TTL, [nested(1, actions)]);
    });
  }

  userspace(): NlAttr {
    const { scan } = this;
    return this.inside(() => {
      scan.expect('pid=');
      const attrs = [u32Attr(USERSPACE.PID, scan.number(0xffffffff))];
      if (scan.take(',userdata(')) {
        const digits = scan.match(/([0-9a-fA-F]{2})*/);
        scan.expect(')');
        const bytes = digits.match(/../g) ?? [];
        const value = Uint8Array.from(bytes.map((two) => parseInt(two, 16)));
        attrs.push({ type: USERSPACE.USERDATA, value });
      } else attrs.push({ type: USERSPACE.USERDATA, value: new Uint8Array(COOKIE_BYTES) });
      if (scan.take(',actions')) attrs.push(flagAttr(USERSPACE.ACTIONS));
      if (scan.take(',tunnel_out_port='))
        attrs.push(u32Attr(USERSPACE.EGRESS_TUN_PORT, scan.number(0xffffffff)));
      return nested(ACT.USERSPACE, attrs);
    });
  }

  ct(): NlAttr {
    const { scan } = this;
    const attrs: NlAttr[] = [];
    if (scan.text.charAt(scan.at) !== '(') return nested(ACT.CT, attrs);
    this.inside(() => {
      for (;;) {
        scan.skipDelimiters();
        const attr = this.ctPart();
        if (attr === null) break;
        attrs.push(attr);
      }
    });
    const both = [CT.COMMIT, CT.FORCE_COMMIT].every((type) => attrs.some((a) => a.type === type));
    if (both) scan.fail('commit and force_commit exclude each other');
    // The order that the kernel wants: a commit in front of nat.
    const order: readonly number[] = CT_ORDER;
    attrs.sort((a, b) => order.indexOf(a.type) - order.indexOf(b.type));
    return nested(ACT.CT, attrs);
  }

  private ctPart(): NlAttr | null {
    const { scan } = this;
    const word = scan.match(/[a-z_]+/);
    switch (word) {
      case 'commit':
        return flagAttr(CT.COMMIT);
      case 'force_commit':
        return flagAttr(CT.FORCE_COMMIT);
      case 'zone':
        scan.expect('=');
        // Larger numbers wrap, as in the tool.
        return u16Attr(CT.ZONE, scan.number(0xffffffff) & 0xffff);
      case 'mark': {
        scan.expect('=');
        const value = scan.number(0xffffffff);
        const mask = scan.take('/') ? scan.number(0xffffffff) : 0xffffffff;
        const both = [u32Attr(0, value), u32Attr(0, mask)].flatMap((one) => [...one.value]);
        return { type: CT.MARK, value: Uint8Array.from(both) };
      }
      case 'label': {
        scan.expect('=');
        const value = scan.big(16).reverse();
        const mask = scan.take('/') ? scan.big(16).reverse() : new Uint8Array(16).fill(EXACT);
        return { type: CT.LABELS, value: Uint8Array.of(...value, ...mask) };
      }
      case 'helper':
      case 'timeout': {
        scan.expect('=');
        const name = scan.match(/[^,)\s]+/);
        const max = word === 'helper' ? 15 : 31;
        if (name === '' || name.length > max)
          scan.fail(`a name of 1 to ${max} characters expected`);
        const type = word === 'helper' ? CT.HELPER : CT.TIMEOUT;
        return { type, value: Uint8Array.from([...name].map((c) => c.charCodeAt(0)).concat(0)) };
      }
      case 'nat':
        return this.nat();
      case '':
        return null;
      default:
        return scan.fail(`no ct argument '${word}'`);
    }
  }

  private nat(): NlAttr {
    const { scan } = this;
    const attrs: NlAttr[] = [];
    if (scan.text.charAt(scan.at) !== '(') return nested(CT.NAT, attrs);
    this.inside(() => {
      for (;;) {
        scan.skipDelimiters();
        const word = scan.match(/[a-z]+/);
        if (word === 'src' || word === 'dst') {
          attrs.push(flagAttr(word === 'src' ? NAT.SRC : NAT.DST));
          if (scan.take('=')) this.natRange(attrs);
        } else if (word === 'persistent') attrs.push(flagAttr(NAT.PERSISTENT));
        else if (word === 'hash') attrs.push(flagAttr(NAT.PROTO_HASH));
        else if (word === 'random') attrs.push(flagAttr(NAT.PROTO_RANDOM));
        else if (word === '') break;
        else scan.fail(`no nat argument '${word}'`);
      }
    });
    return nested(CT.NAT, attrs);
  }

  private natRange(attrs: NlAttr[]): void {
    const { scan } = this;
    const address = (): Uint8Array => {
      if (scan.take('[')) {
        const found = scan.ipv6();
        scan.expect(']');
        return found;
      }
      return /^[0-9.]+(?![0-9a-fA-F:]*:[0-9a-fA-F:]*:)/.test(scan.text.slice(scan.at)) &&
        /^[0-9]+\./.test(scan.text.slice(scan.at))
        ? scan.ipv4()
        : scan.ipv6();
    };
    const min = address();
    attrs.push({ type: NAT.IP_MIN, value: min });
    if (scan.take('-')) {
      const max = address();
      if (max.some((byte, i) => byte !== min[i])) attrs.push({ type: NAT.IP_MAX, value: max });
    }
    if (!scan.take(':')) return;
    const low = scan.number(0xffff);
    attrs.push(u16Attr(NAT.PROTO_MIN, low));
    if (!scan.take('-')) return;
    const high = scan.number(0xffff);
    if (high !== low) attrs.push(u16Attr(NAT.PROTO_MAX, high));
  }
}

const CT_ORDER = [
  CT.COMMIT,
  CT.FORCE_COMMIT,
  CT.ZONE,
  CT.MARK,
  CT.LABELS,
  CT.HELPER,
  CT.TIMEOUT,
  CT.NAT,
];

type Reader = (this: ActionReader) => NlAttr;

const READERS: Readonly<Record<string, Reader | undefined>> = {
  push_vlan(): NlAttr {
    return this.pushVlan();
  },
  pop_vlan: () => flagAttr(ACT.POP_VLAN),
  push_mpls(): NlAttr {
    return this.mpls(ACT.PUSH_MPLS);
  },
  add_mpls(): NlAttr {
    return this.mpls(ACT.ADD_MPLS);
  },
  pop_mpls(): NlAttr {
    return this.popMpls();
  },
  push_eth(): NlAttr {
    return this.pushEth();
  },
  pop_eth: () => flagAttr(ACT.POP_ETH),
  set(): NlAttr {
    return this.set();
  },
  sample(): NlAttr {
    return this.sample();
  },
  clone(): NlAttr {
    return nested(
      ACT.CLONE,
      this.inside(() => this.list()),
    );
  },
  check_pkt_len(): NlAttr {
    return this.checkPktLen();
  },
  dec_ttl(): NlAttr {
    return this.decTtl();
  },
  userspace(): NlAttr {
    return this.userspace();
  },
  ct(): NlAttr {
    return this.ct();
  },
  ct_clear: () => flagAttr(ACT.CT_CLEAR),
  recirc(): NlAttr {
    return u32Attr(
      ACT.RECIRC,
      this.inside(() => this.u32()),
    );
  },
  trunc(): NlAttr {
    return u32Attr(
      ACT.TRUNC,
      this.inside(() => this.u32()),
    );
  },
  meter(): NlAttr {
    return u32Attr(
      ACT.METER,
      this.inside(() => this.u32()),
    );
  },
  hash(): NlAttr {
    return this.inside(() => this.hashOf());
  },
};
