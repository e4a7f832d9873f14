// Times and money for people. Pure; times are shown in the browser's time zone.

const MINUTE = 60, HOUR = 3600, DAY = 86400;

/** `42:17`, `3:42:17`, `2 d 3:42:17`. */
export function countdown(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const days = Math.floor(whole / DAY), hours = Math.floor((whole % DAY) / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE), rest = two(whole % MINUTE);
  if (days) return `${days} d ${hours}:${two(minutes)}:${rest}`;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Seconds rounded down, in words: `42 minutes`, `1 hour 20 minutes`, `2 days 3 hours`, `30 seconds`. */
export function inWords(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const some = (number, unit) => (number ? `${number} ${unit}${number === 1 ? "" : "s"}` : "");
  const two = (big, small) => [big, small].filter(Boolean).join(" ");
  if (whole < MINUTE) return some(whole, "second") || "no time";
  if (whole < HOUR) return some(Math.floor(whole / MINUTE), "minute");
  if (whole < DAY) {
    return two(some(Math.floor(whole / HOUR), "hour"), some(Math.floor((whole % HOUR) / MINUTE), "minute"));
  }
  return two(some(Math.floor(whole / DAY), "day"), some(Math.floor((whole % DAY) / HOUR), "hour"));
}

/** A length of time: `26 s`, `1 min 26 s`, `3 min`, `1 h 5 min`. */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (big, bigUnit, small, smallUnit) => `${big} ${bigUnit}${small ? ` ${small} ${smallUnit}` : ""}`;
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return two(Math.floor(whole / MINUTE), "min", whole % MINUTE, "s");
  return two(Math.floor(whole / HOUR), "h", Math.floor((whole % HOUR) / MINUTE), "min");
}

/** Minutes of a change: `10 minutes`, `4.2 minutes`, `1 minute`. */
export function minutes(amount) {
  const shown = Number(amount.toFixed(amount < 10 ? 2 : 1));
  return `${shown.toLocaleString("en")} minute${shown === 1 ? "" : "s"}`;
}

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const formats = {
  short: new Intl.DateTimeFormat("en-GB", CLOCK),
  exact: new Intl.DateTimeFormat("en-GB", { ...CLOCK, second: "2-digit" }),
  weekday: new Intl.DateTimeFormat("en-GB", { weekday: "short" }),
  day: new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" }),
};

/** A time of day, with its day unless that is today: `18:24`, `tomorrow 9:00`. */
export function moment(date, { exact = false, now = new Date() } = {}) {
  const time = (exact ? formats.exact : formats.short).format(date);
  const days = Math.round((midnight(date) - midnight(now)) / (DAY * 1000));
  if (days === 0) return time;
  if (days === 1) return `tomorrow ${time}`;
  if (days === -1) return `yesterday ${time}`;
  const day = Math.abs(days) < 7 ? formats.weekday.format(date) : formats.day.format(date);
  return `${day} ${time}`;
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

/** The next Monday, 9:00: when an endpoint left on for the weekend would be noticed. */
export function nextMonday(now = new Date()) {
  const monday = midnight(now);
  monday.setHours(9);
  do monday.setDate(monday.getDate() + 1); while (monday.getDay() !== 1);
  return monday;
}

/** Dollars, given as a number or as text; unknown is never shown as zero. */
export function money(dollars) {
  if (dollars == null) return "unknown";
  return Number(dollars).toLocaleString("en-US", { style: "currency", currency: "USD" });
}

/** A price, which may have fractions of a cent. */
export function rate(dollars) {
  const shown = { style: "currency", currency: "USD", maximumFractionDigits: 4 };
  return dollars == null ? "unknown" : Number(dollars).toLocaleString("en-US", shown);
}

/** Hours with at most two decimals. */
export function hours(number) {
  return `${Number(number).toLocaleString("en", { maximumFractionDigits: 2 })} h`;
}
