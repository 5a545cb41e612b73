-- Why a destination was switched off is said in words of ours since this step; before it may have quoted what the receiver answered.
UPDATE destination SET inactive_reason = 'the receiver was gone, or nothing had reached it for five days' WHERE inactive_reason IS NOT NULL;
