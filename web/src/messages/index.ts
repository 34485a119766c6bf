// The message catalogue in use. One language today; choosing another happens here and nowhere else.
import { en, type Messages } from "./en";

export const messages: Messages = en;
