// Kernel parameters (Documentation/networking/ip-sysctl.rst): a table of named integers that the parts of the stack
// register, read once and are told about. `net.ipv4.ip_forward` and `net/ipv4/ip_forward` are one name; a dot inside a
// device name (`net/ipv4/conf/eth0.100/...`) needs the slash form, as in sysctl(8).
//
// Left out: string-valued parameters and value ranges of parameters that nothing in the model reads.

import { EINVAL, ENOENT } from '../../driver/errno.ts';
import { OK, refuse } from './answer.ts';
import type { Answer } from './answer.ts';

interface Entry {
  value: number;
  min: number;
  max: number;
  onChange: ((value: number) => void) | null;
}

const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;

/** `net.ipv4.ip_forward` -> `net/ipv4/ip_forward`. As sysctl(8): where the first separator is a dot, slashes mean dots. */
export function sysctlPath(name: string): string {
  const trimmed = name.replace(/^\/+/, '');
  const first = /[./]/.exec(trimmed);
  return first === null || first[0] === '/' ? trimmed : swapSeparators(trimmed);
}

/** `net/ipv4/ip_forward` -> `net.ipv4.ip_forward`; dots inside parts become slashes. */
export function sysctlDotted(path: string): string {
  return swapSeparators(path);
}

function swapSeparators(name: string): string {
  return name.replace(/[./]/g, (c) => (c === '.' ? '/' : '.'));
}

export class Sysctl {
  private readonly entries = new Map<string, Entry>();

  /** Adds a parameter; registering again replaces the listener and keeps the value. */
  register(
    name: string,
    defaultValue: number,
    onChange: ((value: number) => void) | null = null,
    min = INT_MIN,
    max = INT_MAX,
  ): void {
    const path = sysctlPath(name);
    const old = this.entries.get(path);
    this.entries.set(path, { value: old ? old.value : defaultValue, min, max, onChange });
  }

  /** Removes a parameter and all below it (`net/ipv4/conf/eth0`). */
  unregister(name: string): void {
    const path = sysctlPath(name);
    for (const key of [...this.entries.keys()])
      if (key === path || key.startsWith(`${path}/`)) this.entries.delete(key);
  }

  has(name: string): boolean {
    return this.entries.has(sysctlPath(name));
  }

  /** Value; 0 when nothing registered the name. Not for per-packet use: keep the value through `onChange`. */
  get(name: string): number {
    return this.entries.get(sysctlPath(name))?.value ?? 0;
  }

  /** Sets from text, decimal or 0x hex as procfs takes it. ENOENT for an unknown name, EINVAL for a bad value. */
  set(name: string, text: string): Answer {
    const entry = this.entries.get(sysctlPath(name));
    if (entry === undefined) return refuse(ENOENT, '', 'sysctl-unknown');
    const trimmed = text.trim();
    if (!/^[+-]?(0x[0-9a-f]+|\d+)$/i.test(trimmed)) return refuse(EINVAL, '', 'sysctl-value');
    const negative = trimmed.startsWith('-');
    const magnitude = Number(trimmed.replace(/^[+-]/, ''));
    const value = negative ? -magnitude : magnitude;
    if (value < entry.min || value > entry.max) return refuse(EINVAL, '', 'sysctl-range');
    entry.value = value;
    entry.onChange?.(value);
    return OK;
  }

  /** What a parameter reads as from now on, when that is not what was written; its effect has been had. */
  keep(name: string, value: number): void {
    const entry = this.entries.get(sysctlPath(name));
    if (entry !== undefined) entry.value = value;
  }

  /** All paths, sorted, for `sysctl -a`. */
  names(): string[] {
    return [...this.entries.keys()].sort();
  }
}
