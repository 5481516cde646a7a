// What the visitor has asked of motion, asked anew each time.
const query = matchMedia('(prefers-reduced-motion: reduce)');

export const still = () => query.matches;

// pause waits, or does not wait at all where motion is unwanted.
export const pause = (ms) => still() ? Promise.resolve() : new Promise((done) => setTimeout(done, ms));
