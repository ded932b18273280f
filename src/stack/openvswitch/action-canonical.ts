// A list of actions as the kernel gives it back (ovs_nla_put_actions): as it was told, but for set(tunnel()), of which it keeps only
// the key.

import { FlowKey } from './flow-key.ts';
import { attrBytes, readAttrs } from './nlattr.ts';
import type { NlAttr } from './nlattr.ts';
import { readTunnelKey, tunnelAttr } from './tunnel-key.ts';
import { ACT, CHECK_PKT_LEN, KEY, SAMPLE } from './uapi.ts';

/** OVS_DEC_TTL_ATTR_ACTION. */
const DEC_TTL_ACTION = 1;

/** The list (an accepted one) in the kernel's form. */
export function canonicalActions(bytes: Uint8Array): Uint8Array {
  return rewrite(bytes, canonicalAction);
}

function rewrite(bytes: Uint8Array, each: (attr: NlAttr) => NlAttr): Uint8Array {
  return attrBytes((readAttrs(bytes) ?? []).map(each));
}

function canonicalAction({ type, value }: NlAttr): NlAttr {
  const within = (types: readonly number[]): NlAttr => ({
    type,
    value: rewrite(value, (attr) =>
      types.includes(attr.type) ? { type: attr.type, value: canonicalActions(attr.value) } : attr,
    ),
  });
  if (type === ACT.SET) return { type, value: rewrite(value, canonicalTunnel) };
  if (type === ACT.CLONE) return { type, value: canonicalActions(value) };
  if (type === ACT.SAMPLE) return within([SAMPLE.ACTIONS]);
  if (type === ACT.DEC_TTL) return within([DEC_TTL_ACTION]);
  if (type === ACT.CHECK_PKT_LEN)
    return within([CHECK_PKT_LEN.IF_GREATER, CHECK_PKT_LEN.IF_LESS_EQUAL]);
  return { type, value };
}

function canonicalTunnel(attr: NlAttr): NlAttr {
  if (attr.type !== KEY.TUNNEL) return attr;
  const key = new FlowKey();
  readTunnelKey(key, attr.value, null);
  return tunnelAttr(KEY.TUNNEL, key, key);
}
