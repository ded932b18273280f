// OVS datapath flows into neutral rules: lines of `dpctl/dump-flows`, of `dpctl/add-flow` and of files for add-flows.
//
// A key that is left out is not compared. recirc_id is the rule's group, in_port the device it hangs on. Datapath flows do not
// overlap and have no priority: all get 0. A tag's type stands in eth_type before vlan(); what is below is in encap().
// Statistics of a dump are passed over. Not here: what ovs-keys.ts names, cfi=0.

import { RuleDraft, missingPrerequisite } from './draft.ts';
import { CT_STATES, ETH_QINQ, ETH_VLAN } from './names.ts';
import { fullMask } from './rule.ts';
import type { FieldMatch, FieldName, Place, Rule } from './rule.ts';
import type { LogicalLine } from './scan.ts';
import { parseOvsActions } from './ovs-actions.ts';
import { OvsCursor, parseFlags } from './ovs-cursor.ts';
import { OVS_FRAG, OVS_GROUPS, OVS_SCALARS, OVS_TCP_FLAGS } from './ovs-keys.ts';
import { OVS_TUNNEL, OVS_TUNNEL_FLAGS } from './ovs-keys.ts';
import { exactValue, isFull, isZero } from './values.ts';

const KEYS = `in_port, eth, eth_type, vlan, encap, ipv4, ipv6, tcp, udp, sctp, icmp, icmpv6, arp, nd, mpls, tunnel, ct_state, ct_zone, ct_mark, ct_label, recirc_id or another key`;

/** The command before a flow: ovs-dpctl, ovs-appctl, or a verb of an add-flows file, with a datapath's name or without. */
const COMMAND =
  /(?:ovs-dpctl\s+|ovs-appctl\s+)?(?:dpctl\/)?(?:add-flow|mod-flow|add|modify)\s+(?:[\w@.-]+\s+)?(?=['"]?[a-z_0-9]+\()/;

/** The rule of a line, null for headings of a dump. Throws RuleSyntaxError. */
export function readOvs(file: string, line: LogicalLine): Rule | null {
  if (/^flow-dump from /.test(line.text)) return null;
  const cursor = new OvsCursor(file, line);
  const draft = new RuleDraft(file, 'ovs');
  const command = cursor.match(COMMAND) !== '';
  const quote = command ? cursor.match(/['"]/) : '';
  if (!command && cursor.takeIf('ufid:')) {
    cursor.match(/[0-9a-f-]+/);
    cursor.expect(',');
    cursor.skipBlanks();
  }
  new KeyReader(cursor, draft).read();
  if (command) {
    if (quote !== '') cursor.expect(quote);
    if (cursor.match(/\s+/) === '') cursor.fail('a blank and the actions');
    const second = cursor.match(/['"]/);
    draft.actions = parseOvsActions(cursor);
    if (second !== '') cursor.expect(second);
  } else {
    skipStatistics(cursor);
    draft.actions = parseOvsActions(cursor);
  }
  if (!cursor.done) cursor.fail(', or the end of the line');
  const rule = draft.build(line.line, line.text);
  const missing = missingPrerequisite(rule);
  if (missing !== null) {
    const { at, field } = missing.match;
    cursor.failAt(at, `${missing.needs} for ${field}`, 'a flow without');
  }
  return rule;
}

/** `, packets:0, bytes:0, used:never, flags:S, dp:tc, actions:`. */
function skipStatistics(cursor: OvsCursor): void {
  for (;;) {
    cursor.match(/[,\s]*/);
    if (cursor.takeIf('actions:')) return;
    if (cursor.match(/[a-z-]+:[^,\s]*/) === '') cursor.fail('actions: or statistics before it');
  }
}

class KeyReader {
  private readonly cursor: OvsCursor;
  private readonly draft: RuleDraft;
  /** Tags read so far. */
  private tags = 0;
  /** An eth_type that may turn out to be a tag's. */
  private type: FieldMatch | null = null;

  constructor(cursor: OvsCursor, draft: RuleDraft) {
    this.cursor = cursor;
    this.draft = draft;
  }

  read(): void {
    this.readKeys();
    this.flushType();
  }

  private readKeys(): void {
    const { cursor } = this;
    if (cursor.looksAt(')')) return;
    for (;;) {
      const at = cursor.at;
      const from = cursor.pos;
      const name = cursor.name(KEYS);
      if (!cursor.takeIf('(')) {
        cursor.pos = from;
        cursor.fail(KEYS);
      }
      this.readKey(name, at, from);
      cursor.expect(')');
      if (!/^,\s*[a-z_0-9]+\(/.test(cursor.text.slice(cursor.pos, cursor.pos + 40))) return;
      cursor.match(/,\s*/);
    }
  }

  private readKey(name: string, at: Place, from: number): void {
    const { cursor, draft } = this;
    const scalar = OVS_SCALARS.find((one) => one.key === name);
    const group = OVS_GROUPS.find((one) => one.key === name);
    if (scalar !== undefined) {
      const { value, mask } = cursor.masked(scalar.field, scalar.form);
      draft.mask(scalar.field, value, mask, at);
    } else if (group !== undefined) {
      this.readParts(group.parts);
    } else if (name === 'tunnel') this.readTunnel();
    else if (name === 'eth_type') {
      this.flushType();
      this.type = { field: 'eth_type', kind: 'mask', ...cursor.masked('eth_type', 'hex'), at };
    } else if (name === 'vlan') this.readVlan(at);
    else if (name === 'encap') {
      if (this.tags === 0) cursor.failAt(at, 'vlan before encap', 'encap');
      this.readKeys();
    } else if (!this.readSpecial(name, at)) {
      cursor.pos = from;
      cursor.fail(KEYS);
    }
  }

  private readSpecial(name: string, at: Place): boolean {
    const { cursor, draft } = this;
    if (name === 'recirc_id') {
      const { value, mask } = cursor.masked('skb_mark', 'hex');
      const whole = isFull('skb_mark', mask);
      if (!whole && !isZero(mask)) cursor.failAt(at, 'an exact recirc_id', 'a mask');
      draft.group = whole ? value[0] : 0;
    } else if (name === 'in_port') {
      if (/^[0-9]/.test(cursor.text.slice(cursor.pos))) {
        const { value, mask } = cursor.masked('in_port', 'number');
        if (isFull('in_port', mask)) draft.device = String(value[0]);
        else draft.mask('in_port', value, mask, at);
      } else draft.device = cursor.takeAs('a port', (text) => (text === '' ? null : text));
    } else if (name === 'ct_state') this.readFlags('ct_state', CT_STATES, 8, at);
    else if (name === 'tcp_flags') this.readFlags('tcp_flags', OVS_TCP_FLAGS, 12, at);
    else if (name === 'packet_type') {
      if (!cursor.takeIf('ns=0,id=0')) cursor.fail('ns=0,id=0 (Ethernet)');
    } else return false;
    return true;
  }

  private readFlags(field: FieldName, names: readonly string[], bits: number, at: Place): void {
    const flags = this.cursor.takeAs(`flags as in +${names[0]}-${names[1]} or VALUE/MASK`, (text) =>
      parseFlags(text, names, bits),
    );
    this.draft.mask(field, [flags.value], [flags.mask], at);
  }

  /** `name=value,...`; a field of a key that was given elsewhere is an error of the draft. */
  private readParts(parts: readonly { name: string; field: FieldName; form: string }[]): void {
    const { draft } = this;
    const cursor: OvsCursor = this.cursor;
    if (cursor.looksAt(')')) return;
    const names = parts.map((one) => one.name).join(', ');
    do {
      const at = cursor.at;
      const from = cursor.pos;
      const name = cursor.name(names);
      const part = parts.find((one) => one.name === name);
      if (part === undefined) {
        cursor.pos = from;
        cursor.fail(names);
      }
      cursor.expect('=');
      if (part.name === 'frag') {
        const frag = cursor.takeAs('no, first or later', (text) =>
          Object.hasOwn(OVS_FRAG, text) ? OVS_FRAG[text] : null,
        );
        draft.mask('ip_frag', [frag.value], [frag.mask], at);
      } else {
        const { value, mask } = cursor.masked(part.field, part.form as 'number');
        draft.mask(part.field, value, mask, at);
      }
    } while (cursor.takeIf(','));
  }

  private readTunnel(): void {
    const { draft } = this;
    const cursor: OvsCursor = this.cursor;
    if (cursor.looksAt(')')) return;
    do {
      const at = cursor.at;
      if (cursor.takeIf('flags(')) {
        this.readFlags('tun_flags', OVS_TUNNEL_FLAGS, 4, at);
        cursor.expect(')');
        continue;
      }
      const names = `${OVS_TUNNEL.map((one) => one.name).join(', ')} or flags`;
      const from = cursor.pos;
      const name = cursor.name(names);
      const part = OVS_TUNNEL.find((one) => one.name === name);
      if (part === undefined || !cursor.takeIf('=')) {
        cursor.pos = from;
        cursor.fail(names);
      }
      const { value, mask } = cursor.masked(part.field, part.form);
      draft.mask(part.field, value, mask, at);
    } while (cursor.takeIf(','));
  }

  /** The type before it is the tag's. */
  private readVlan(at: Place): void {
    const { cursor, draft } = this;
    if (++this.tags > 2) cursor.failAt(at, 'at most two tags', 'another one');
    const second = this.tags === 2;
    const tpid = this.type ?? exactType(ETH_VLAN, at);
    const value = exactValue(tpid);
    if (value !== ETH_VLAN && value !== ETH_QINQ)
      cursor.failAt(tpid.at, 'eth_type(0x8100) or eth_type(0x88a8) before vlan', 'another type');
    draft.add({ ...tpid, field: second ? 'cvlan_tpid' : 'vlan_tpid' });
    this.type = null;
    if (cursor.looksAt(')')) return;
    do {
      const place = cursor.at;
      if (cursor.takeIf('cfi=')) {
        if (cursor.match(/1(\/(0x)?1)?/) === '') cursor.fail('1 (a tag)');
      } else if (cursor.takeIf('vid=')) {
        const id = cursor.masked('vlan_id', 'number');
        draft.mask(second ? 'cvlan_id' : 'vlan_id', id.value, id.mask, place);
      } else if (cursor.takeIf('pcp=')) {
        const pcp = cursor.masked('vlan_pcp', 'number');
        draft.mask(second ? 'cvlan_pcp' : 'vlan_pcp', pcp.value, pcp.mask, place);
      } else cursor.fail('vid=, pcp= or cfi=');
    } while (cursor.takeIf(','));
  }

  private flushType(): void {
    if (this.type !== null && !(this.type.kind === 'mask' && isZero(this.type.mask)))
      this.draft.add(this.type);
    this.type = null;
  }
}

function exactType(value: number, at: Place): FieldMatch {
  return { field: 'eth_type', kind: 'mask', value: [value], mask: fullMask('eth_type'), at };
}
