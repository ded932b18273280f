// A simulated time as ctime(3) writes it, the run beginning with 1970 in UTC: `Thu Jan  1 00:01:05 1970`.

import { PS_PER_S } from '../../../../hw/time/units.ts';

const DAYS = ['Thu', 'Fri', 'Sat', 'Sun', 'Mon', 'Tue', 'Wed'];
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');
const MONTH_DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

export function clockText(ps: number): string {
  const seconds = Math.floor(ps / PS_PER_S);
  const days = Math.floor(seconds / 86400);
  // Simulated times stay within the first months; years are all counted as 365 days.
  let day = days % 365;
  let month = 0;
  while (day >= MONTH_DAYS[month]) day -= MONTH_DAYS[month++];
  const two = (value: number): string => String(value).padStart(2, '0');
  const clock = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const year = 1970 + Math.floor(days / 365);
  return `${DAYS[days % 7]} ${MONTHS[month]} ${String(day + 1).padStart(2)} ${clock} ${year}`;
}
