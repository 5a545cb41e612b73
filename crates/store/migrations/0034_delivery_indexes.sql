-- Every message was written into these, for a look now and then at the oldest of them: their ids are in the order of time as well.
DROP INDEX delivery_age;
DROP INDEX delivery_waiting;
