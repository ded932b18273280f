// The sysctl names of a device's switches (Documentation/networking/ip-sysctl.rst, conf/{all,default,DEV}). Names that the
// model accepts and ignores are here too, with what Linux has as default: a scenario written for a real router sets them.

import type { DeviceConf } from './links.ts';
import type { Sysctl } from './sysctl.ts';

/** sysctl name and field of each switch that the model reads. */
const SWITCHES: readonly (readonly [family: string, name: string, key: keyof DeviceConf])[] = [
  ['ipv4', 'forwarding', 'forwarding4'],
  ['ipv6', 'forwarding', 'forwarding6'],
  ['ipv4', 'rp_filter', 'rpFilter'],
  ['ipv4', 'send_redirects', 'sendRedirects'],
  ['ipv4', 'accept_local', 'acceptLocal'],
  ['ipv6', 'disable_ipv6', 'disableIpv6'],
  ['ipv6', 'addr_gen_mode', 'addrGenMode'],
];

/** Switches whose default is the only behaviour modelled: readable and settable to nothing else. */
const FIXED: readonly (readonly [family: string, name: string, value: number])[] = [
  ['ipv4', 'accept_source_route', 0],
  ['ipv4', 'arp_ignore', 0],
  ['ipv4', 'arp_announce', 0],
  ['ipv4', 'proxy_arp', 0],
  ['ipv4', 'log_martians', 0],
  ['ipv6', 'accept_source_route', 0],
  ['ipv6', 'proxy_ndp', 0],
];

/** Registers `net.ipv{4,6}/conf/NAME/*`; `onChange` hears of each new value after it is in `conf`. */
export function registerDeviceConf(
  sysctl: Sysctl,
  name: string,
  conf: DeviceConf,
  onChange: ((key: keyof DeviceConf, value: number) => void) | null,
): void {
  for (const [family, leaf, key] of SWITCHES)
    sysctl.register(
      `net/${family}/conf/${name}/${leaf}`,
      conf[key],
      (value) => {
        conf[key] = value;
        onChange?.(key, value);
      },
      0,
    );
  for (const [family, leaf, value] of FIXED)
    sysctl.register(`net/${family}/conf/${name}/${leaf}`, value, null, value, value);
}
