// The helpers there are, by the names that `ct helper` objects use.

import { FTP } from './ftp.ts';
import type { Helper } from './helper.ts';
import { TFTP } from './tftp.ts';
import { IPPROTO_TCP } from './tuple.ts';

/** The helper of a name and transport protocol (`tcp`, `udp`), null for none. */
export function helperOf(name: string, protocol: string): Helper | null {
  const found = [FTP, TFTP].find((helper) => helper.name === name);
  if (found === undefined) return null;
  return (found.protocol === IPPROTO_TCP ? 'tcp' : 'udp') === protocol ? found : null;
}
