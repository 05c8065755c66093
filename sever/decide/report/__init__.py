"""What a report says in numbers, from maps, masks and labels; knows no files and no HTML."""
