// ethtool -k and -K: offload features under the tool's names, as text and (for -k) as JSON. Formats and exit statuses as recorded
// from ethtool 6.1.

import { EOPNOTSUPP } from '../../../../driver/errno.ts';
import { FEATURE_NAMES } from '../../../../driver/features.ts';
import type { FeatureName, NetFeatures } from '../../../../driver/features.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { align4, headerBytes, netlinkError, noDevice, unexpected } from './args.ts';
import type { Target } from './args.ts';

/** Exit status of a refused `-K`. */
const REFUSED_STATUS = 92;

/** Names that ethtool had before the kernel's: short, long, and the features that they stand for. */
const LEGACY: readonly { short: string; long: string; covers: RegExp }[] = [
  { short: 'rx', long: 'rx-checksumming', covers: /^rx-checksum$/ },
  { short: 'tx', long: 'tx-checksumming', covers: /^tx-checksum-/ },
  { short: 'sg', long: 'scatter-gather', covers: /^tx-scatter-gather/ },
  { short: 'tso', long: 'tcp-segmentation-offload', covers: /^tx-tcp.*-segmentation$/ },
  { short: 'gso', long: 'generic-segmentation-offload', covers: /^tx-generic-segmentation$/ },
  { short: 'gro', long: 'generic-receive-offload', covers: /^rx-gro$/ },
  { short: 'lro', long: 'large-receive-offload', covers: /^rx-lro$/ },
  { short: 'rxvlan', long: 'rx-vlan-offload', covers: /^rx-vlan-hw-parse$/ },
  { short: 'txvlan', long: 'tx-vlan-offload', covers: /^tx-vlan-hw-insert$/ },
  { short: 'ntuple', long: 'ntuple-filters', covers: /^rx-ntuple-filter$/ },
  { short: 'rxhash', long: 'receive-hashing', covers: /^rx-hashing$/ },
];

interface Line {
  label: string;
  indent: string;
  /** Null: a group, whose state is any of its members'. */
  feature: FeatureName | null;
  isOn: boolean;
}

function listing(features: NetFeatures): Line[] {
  const lines: Line[] = [];
  const one = (feature: FeatureName, label: string, indent: string): void => {
    lines.push({ label, indent, feature, isOn: features.has(feature) });
  };
  const taken = new Set<FeatureName>();
  for (const { long, covers } of LEGACY) {
    const members = FEATURE_NAMES.filter((name) => covers.test(name) && !taken.has(name));
    for (const name of members) taken.add(name);
    if (members.length === 1) {
      one(members[0], long, '');
      continue;
    }
    const isOn = members.some((name) => features.has(name));
    lines.push({ label: long, indent: '', feature: null, isOn });
    for (const name of members) one(name, name, '\t');
  }
  for (const name of FEATURE_NAMES) if (!taken.has(name)) one(name, name, '');
  return lines;
}

function suffix(features: NetFeatures, feature: FeatureName | null): string {
  if (feature === null) return '';
  if (!features.switchable.has(feature)) return ' [fixed]';
  const wanted = features.wanted.has(feature);
  if (wanted === features.has(feature)) return '';
  return wanted ? ' [requested on]' : ' [requested off]';
}

export function showFeatures({ dev }: Target, words: string[], json: boolean): CommandResult {
  if (words.length > 0) return unexpected(words[0]);
  if (dev === null) return noDevice();
  const { features } = dev;
  const lines = listing(features);
  if (json) return ok(jsonOf(dev.name, features, lines));
  const text = lines.map(
    ({ label, indent, feature, isOn }) =>
      `${indent}${label}: ${isOn ? 'on' : 'off'}${suffix(features, feature)}\n`,
  );
  return ok(`Features for ${dev.name}:\n${text.join('')}`);
}

function jsonOf(name: string, features: NetFeatures, lines: readonly Line[]): string {
  const items = lines.map(({ label, feature, isOn }) => {
    const fixed = feature === null ? 'null' : String(!features.switchable.has(feature));
    const requested = feature === null ? 'null' : String(features.wanted.has(feature));
    return (
      `        "${label}": {\n            "active": ${isOn},\n` +
      `            "fixed": ${fixed},\n            "requested": ${requested}\n        }`
    );
  });
  return `[ {\n        "ifname": "${name}",\n${items.join(',\n')}\n    } ]\n`;
}

export function setFeatures(target: Target, words: string[]): CommandResult {
  const wishes = new Map<FeatureName, boolean>();
  let offset = headerBytes(target.name) + 8 + 12;
  let unknownAt = -1;
  for (let i = 0; i < words.length; i += 2) {
    const flag = words[i + 1];
    if (flag !== 'on' && flag !== 'off') {
      const shown = flag ?? '(null)';
      const said = `flag '${shown}' for parameter '(null)' is not followed by 'on' or 'off'`;
      return failed(1, `ethtool (-K): ${said}\n`);
    }
    for (const name of namesOf(words[i])) {
      const known = FEATURE_NAMES.find((one) => one === name);
      if (known === undefined) unknownAt = unknownAt < 0 ? offset : unknownAt;
      else wishes.set(known, flag === 'on');
      offset += 8 + align4(name.length + 1) + (flag === 'on' ? 4 : 0);
    }
  }
  if (target.dev === null) return noDevice(REFUSED_STATUS);
  if (unknownAt >= 0)
    return netlinkError(`bit name not found (offset ${unknownAt})`, EOPNOTSUPP, REFUSED_STATUS);
  return apply(target.dev.features, wishes);
}

/** The kernel names of a word: those of a legacy name, else the word itself. */
function namesOf(word: string): readonly string[] {
  const legacy = LEGACY.find(({ short, long }) => word === short || word === long);
  return legacy === undefined ? [word] : FEATURE_NAMES.filter((name) => legacy.covers.test(name));
}

function apply(features: NetFeatures, wishes: ReadonlyMap<FeatureName, boolean>): CommandResult {
  const before = new Set(features.active);
  const { refused } = features.request(wishes);
  const changed = FEATURE_NAMES.filter((name) => before.has(name) !== features.has(name));
  const unasked = changed.filter((name) => !wishes.has(name));
  let stdout = '';
  if (refused.length > 0 || unasked.length > 0) {
    stdout = 'Actual changes:\n';
    for (const name of FEATURE_NAMES) {
      const state = features.has(name) ? 'on' : 'off';
      if (refused.includes(name))
        stdout += `${name}: ${state} [requested ${wishes.get(name) === true ? 'on' : 'off'}]\n`;
      else if (unasked.includes(name)) stdout += `${name}: ${state} [not requested]\n`;
      else if (changed.includes(name)) stdout += `${name}: ${state}\n`;
    }
  }
  const nothing = refused.length === wishes.size;
  return nothing
    ? { status: 1, stdout, stderr: 'Could not change any device features\n' }
    : ok(stdout);
}
